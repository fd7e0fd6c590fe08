// Uploads that continue after an interruption, by tus 1.0 (https://tus.io/protocols/resumable-upload): three kinds of
// requests, so that retries, `fetch` and errors are those of every other call, and the package needs no other one.

import { ApiError, ImageProcessorError, NotFound } from "./errors.js";
import type { Upload } from "./models.js";
import { pause, pauseOf, type Call, type OnProgress, type Reply } from "./send.js";

/** Bytes of one request: what a proxy that buffers requests, or a time limit, can cost at most. */
export const CHUNK_BYTES = 8 * 2 ** 20;

const PATH = "/resumable";
const VERSION = { "tus-resumable": "1.0.0" };

export interface Resumable {
  file: Blob;
  key: string;
  /** Of the request that begins the upload. */
  headers: Record<string, string>;
  /** Where an earlier upload of this file continues. */
  resume?: string | undefined;
  chunkBytes: number;
  /** How often in a row a request may fail. */
  attempts: number;
  onBegin?: ((resume: string) => void) | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

type Send = (method: string, path: string, call: Partial<Call>, attempts?: number) => Promise<Reply>;

/** Send what the server lacks, and begin again where it has lost the upload. */
export async function sendResumable(upload: Resumable, send: Send): Promise<Upload> {
  const { file, attempts, signal } = upload;
  const headers = { ...VERSION, ...upload.headers, "upload-length": String(file.size), "upload-metadata": `key ${base64(upload.key)}` };
  let path = upload.resume ?? null;
  let offset: number | null = null;
  let reply: Reply | null = null;
  for (let failures = 0; ; ) {
    try {
      if (path === null) {
        reply = await send("POST", PATH, { headers, signal });
        path = new URL(reply.headers.get("location") ?? "", `http://host${PATH}`).pathname;
        offset = 0;
        upload.onBegin?.(path);
      } else if (offset === null) {
        reply = await send("HEAD", path, { headers: VERSION, signal });
        check(reply, headers);
        offset = offsetOf(reply);
      } else {
        reply = await append(upload, path, offset, send);
        offset = offsetOf(reply);
        failures = 0;
      }
      upload.onProgress?.(offset, file.size);
      if (offset === file.size) return stored(reply, upload);
    } catch (error) {
      signal?.throwIfAborted();
      const isLost = error instanceof NotFound && path !== null;
      failures += 1;
      if (!(error instanceof ImageProcessorError) || failures >= attempts || !(isLost || mayContinue(error))) throw error;
      if (isLost) path = null;
      offset = null;
      await pause(pauseOf(error, failures), signal);
    }
  }
}

function append({ file, chunkBytes, onProgress, signal }: Resumable, path: string, offset: number, send: Send): Promise<Reply> {
  const body = file.slice(offset, offset + chunkBytes, "application/offset+octet-stream");
  const headers = { ...VERSION, "content-type": body.type, "upload-offset": String(offset) };
  const tell = onProgress && ((sent: number) => onProgress(offset + sent, file.size));
  return send("PATCH", path, { headers, body, onProgress: tell, signal }, 1);
}

/** Throws TypeError if the upload that is continued is of another file. */
function check(reply: Reply, headers: Record<string, string>): void {
  if (["upload-length", "upload-metadata"].some((name) => reply.headers.get(name) !== headers[name])) {
    throw new TypeError("expected the file and the key that the upload began with, got others");
  }
}

function offsetOf(reply: Reply): number {
  return Number(reply.headers.get("upload-offset"));
}

function stored(reply: Reply, { file, key }: Resumable): Upload {
  const image = reply.headers.get("content-location") ?? "";
  const version = (reply.headers.get("etag") ?? "").replaceAll('"', "");
  return { id: image.slice(image.lastIndexOf("/") + 1), key, bytes: file.size, version, status: "queued", image };
}

/** Whether the server may accept the rest. 409: it has another number of bytes than this client thought; 423: it still
 * ends an earlier request. */
function mayContinue(error: ImageProcessorError): boolean {
  return error.retryable || (error instanceof ApiError && [409, 423].includes(error.status));
}

function base64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}
