// An archive that the page makes itself: on AWS, where API Gateway sends at most 6 MB. Loaded when it is needed.

import { makeZip } from "client-zip";

import { MAX_IDS, Problem, address, archivable, downloadUrl, type Archivable } from "./client";

export type Content = "originals" | "renditions";

export interface ArchivedFile {
  readonly name: string;
  // 0 if the record does not know.
  readonly bytes: number;
  readonly added: Date;
  // Signed when it is needed: it ends after some minutes.
  address(): Promise<string>;
}

// The files of those images that exist, under their keys.
export async function filesOf(ids: readonly string[], content: Content, stop: AbortSignal): Promise<ArchivedFile[]> {
  const found: ArchivedFile[] = [];
  for (let at = 0; at < ids.length; at += MAX_IDS) {
    stop.throwIfAborted();
    const images = await archivable(ids.slice(at, at + MAX_IDS));
    found.push(...images.flatMap(content === "originals" ? original : renditions));
  }
  return unique(found);
}

const original = ({ id, original: key, facts, created_at }: Archivable): ArchivedFile[] => [
  { name: safeName(key), bytes: facts?.bytes ?? 0, added: date(created_at), address: () => downloadUrl(id) },
];

const renditions = ({ renditions: made, created_at }: Archivable): ArchivedFile[] =>
  // What is made on demand only has no address.
  made.flatMap(({ key, bytes, url }) => (url ? [{ name: safeName(key), bytes, added: date(created_at), address: async () => address(url) }] : []));

const date = (text: string | null | undefined) => (text ? new Date(text) : new Date());

// As the server names them: a relative path that leads nowhere else, whatever unpacks it.
function safeName(key: string): string {
  const parts = key.replace(/[\\:]/g, "_").split("/").filter((part) => part && part !== "." && part !== "..");
  return parts.join("/") || "image";
}

// With a number before names that would come twice.
function unique(files: readonly ArchivedFile[]): ArchivedFile[] {
  const seen = new Set<string>();
  return files.map((file) => {
    let name = file.name;
    for (let number = 2; seen.has(name); number++) name = `${number}-${file.name}`;
    seen.add(name);
    return { ...file, name };
  });
}

const ATTEMPTS = 3;
const PAUSE_MILLISECONDS = 500;

class Unreadable extends Error {
  constructor(
    message: string,
    readonly isLasting: boolean,
  ) {
    super(message);
  }
}

// The bytes of a file, all of them: what breaks off is read again, and is in no archive by half.
async function read(file: ArchivedFile, stop: AbortSignal): Promise<Blob> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(await file.address(), stop);
    } catch (error) {
      const isLasting = error instanceof Problem || (error instanceof Unreadable && error.isLasting);
      if (isLasting || stop.aborted || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS * attempt));
    }
  }
}

async function readOnce(url: string, stop: AbortSignal): Promise<Blob> {
  try {
    // A picture of the page is in the browser's cache without the headers that let a script read it.
    const response = await fetch(url, { cache: "no-store", signal: stop });
    if (response.ok) return await response.blob();
    if (response.status === 403 || response.status === 404) throw new Unreadable("It does not exist any more.", true);
    throw new Unreadable(`Its server answered ${response.status}.`, response.status < 500 && response.status !== 429);
  } catch (error) {
    if (error instanceof Unreadable || stop.aborted) throw error;
    throw new Unreadable("The connection broke, or its server lets no page of this address read it.", false);
  }
}

export interface Watch {
  onRead(size: number): void;
  onFailure(name: string, why: string): void;
}

// Read ahead of what is written.
const AT_ONCE = 4;
// As many files as fail before the first is read are enough.
const MAX_VAIN = 8;

// The archive, part by part. Files that cannot be read are left out; it is an error if none can.
export const zipped = (files: readonly ArchivedFile[], watch: Watch, stop: AbortSignal): ReadableStream<Uint8Array> => makeZip(entries(files, watch, stop));

async function* entries(files: readonly ArchivedFile[], watch: Watch, stop: AbortSignal) {
  let [taken, failed] = [0, 0];
  for await (const { file, blob, why } of ahead(files, (next) => outcomeOf(next, stop))) {
    stop.throwIfAborted();
    if (blob) {
      taken++;
      watch.onRead(blob.size);
      yield { name: file.name, lastModified: file.added, input: blob };
    } else {
      failed++;
      watch.onFailure(file.name, why);
      if (!taken && failed === Math.min(files.length, MAX_VAIN)) throw new Error(`No archive: not one of ${failed} files could be read. ${why}`);
    }
  }
}

interface Outcome {
  readonly file: ArchivedFile;
  readonly blob: Blob | null;
  readonly why: string;
}

const outcomeOf = (file: ArchivedFile, stop: AbortSignal): Promise<Outcome> =>
  read(file, stop).then(
    (blob) => ({ file, blob, why: "" }),
    (error: Error) => ({ file, blob: null, why: error.message }),
  );

// The results in order, some of which are begun before they are asked for.
async function* ahead<T, R>(items: readonly T[], run: (item: T) => Promise<R>): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  for (const item of items) {
    begun.push(run(item));
    if (begun.length === AT_ONCE) yield await begun.shift()!;
  }
  for (const left of begun) yield await left;
}
