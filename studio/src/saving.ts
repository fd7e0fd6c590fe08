// Where a file goes that the page itself makes: to the disk as it comes, or into the memory of the browser first.

export interface Place {
  // How many bytes it takes.
  readonly limit: number;
  // Takes all of a file, or leaves nothing of it.
  save(content: ReadableStream<Uint8Array>, stop: AbortSignal): Promise<void>;
}

interface Handle extends FileSystemFileHandle {
  remove?(): Promise<void>;
}

declare global {
  interface Window {
    // Chromium's only.
    showSaveFilePicker?(options: object): Promise<Handle>;
  }
}

// A browser that must hold all of a file may end a page that makes a larger one.
const MAX_IN_MEMORY = 500_000_000;
const KEPT_MILLISECONDS = 60_000;

// Asks for the place of a ZIP file where the browser can do that; at a click only. Null if the user has given it up.
export async function choosePlace(name: string): Promise<Place | null> {
  if (!window.showSaveFilePicker) return { limit: MAX_IN_MEMORY, save: (content, stop) => offer(name, content, stop) };
  const types = [{ description: "ZIP archive", accept: { "application/zip": [".zip"] } }];
  try {
    const handle = await window.showSaveFilePicker({ suggestedName: name, types });
    return { limit: Infinity, save: (content, stop) => write(handle, content, stop) };
  } catch (error) {
    if ((error as Error).name === "AbortError") return null;
    throw error;
  }
}

async function write(handle: Handle, content: ReadableStream<Uint8Array>, stop: AbortSignal): Promise<void> {
  const isNew = (await handle.getFile()).size === 0;
  try {
    // The file has its content when the stream is closed, and not before.
    await content.pipeTo(await handle.createWritable(), { signal: stop });
  } catch (error) {
    if (isNew) await handle.remove?.().catch(() => {});
    throw error;
  }
}

async function offer(name: string, content: ReadableStream<Uint8Array>, stop: AbortSignal): Promise<void> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const reading = new Response(readable).blob();
  reading.catch(() => {}); // the writing says what is wrong
  await content.pipeTo(writable, { signal: stop });
  const file = await reading;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MILLISECONDS);
}
