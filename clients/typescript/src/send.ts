// Sends one request and retries what may succeed later: with fetch, and for the progress of an upload in a browser
// with XMLHttpRequest, because fetch does not tell it there.

import { ApiError, ConnectionFailed, ImageProcessorError, NotFound, errorOf } from "./errors.js";

/** The file of an upload: a `Blob` (a `File`, or that of `fs.openAsBlob(path)` in Node), or its bytes. */
export type FileBody = Blob | ArrayBufferView | ArrayBuffer;

/** Called with the bytes that were sent, and all bytes. */
export type OnProgress = (sent: number, total: number) => void;

export interface Call {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: string | Blob | FormData | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

export interface Reply {
  status: number;
  headers: Headers;
  body: string;
}

export type Fetch = typeof globalThis.fetch;

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

/** The reply, after at most so many attempts. Throws an ApiError, ConnectionFailed, or the signal's reason. */
export async function send(call: Call, fetch: Fetch, attempts: number): Promise<Reply> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(call, fetch);
    } catch (error) {
      call.signal?.throwIfAborted();
      // An attempt before it has deleted the image, and its response was lost.
      if (call.method === "DELETE" && attempt > 1 && error instanceof NotFound) {
        return { status: 204, headers: new Headers(), body: "" };
      }
      if (!(error instanceof ImageProcessorError) || !error.retryable || attempt >= attempts) throw error;
      await pause(pauseOf(error, attempt), call.signal);
    }
  }
}

/** Milliseconds, or the signal's reason as an error. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Growing, with a random part so that clients do not come back together; or what the server asks for. */
export function pauseOf(error: ImageProcessorError, attempt: number): number {
  if (error instanceof ApiError && error.retryAfter !== null) return error.retryAfter * 1000;
  return Math.min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE) * (0.5 + Math.random() / 2);
}

async function once(call: Call, fetch: Fetch): Promise<Reply> {
  const reply = await exchange(call, fetch).catch((error: unknown) => {
    call.signal?.throwIfAborted();
    throw new ConnectionFailed(call.url, error);
  });
  if (reply.status >= 200 && reply.status < 300) return reply;
  throw errorOf(reply.status, reply.headers, reply.body);
}

async function exchange(call: Call, fetch: Fetch): Promise<Reply> {
  if (call.onProgress && "XMLHttpRequest" in globalThis) return byXmlHttpRequest(call);
  const { method, headers, signal = null } = call;
  const { body, ...streaming } = counted(call);
  const response = await fetch(call.url, { method, headers, signal, body: body ?? null, ...streaming });
  return { status: response.status, headers: response.headers, body: await response.text() };
}

/** The body; of a file in Node, as a stream that counts what is read of it. */
function counted({ body, onProgress }: Call): { body: BodyInit | undefined; duplex?: "half" } {
  if (!onProgress || !(body instanceof Blob)) return { body };
  let sent = 0;
  const count = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(chunk, controller) {
      sent += chunk.byteLength;
      controller.enqueue(chunk);
      onProgress(sent, body.size);
    },
  });
  return { body: body.stream().pipeThrough(count), duplex: "half" };
}

function byXmlHttpRequest({ method, url, headers, body, onProgress, signal }: Call): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress?.(event.loaded, event.total);
    request.onload = () => {
      const lines = request.getAllResponseHeaders().trim().split("\r\n").filter(Boolean);
      const pairs = lines.map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
      resolve({ status: request.status, headers: new Headers(pairs), body: request.responseText });
    };
    request.onerror = () => reject(new Error("the connection failed"));
    request.onabort = () => reject(new Error("aborted"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body ?? null);
  });
}
