// The client of the REST API, for Node, browsers and other runtimes with fetch and WebCrypto.

import { NotFound, Refused, WaitTimeout } from "./errors.js";
import type { Image, Listing, Markup, OnDemandRendition, PresignedPost, Upload } from "./models.js";
import { CHUNK_BYTES, sendResumable } from "./resumable.js";
import { pause, send, type Call, type Fetch, type FileBody, type OnProgress, type Reply } from "./send.js";
import { imageId, quoteKey } from "./urls.js";

const MAX_SERVER_WAIT = 60;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2000;

export interface ClientOptions {
  /** The API's address, such as `http://127.0.0.1:8000`. */
  url: string;
  /** A token of the API, where it needs one. */
  token?: string | undefined;
  /** Further headers, such as `{"x-api-key": ...}` of API Gateway. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** `direct` for a server on one machine, `presigned` on AWS: by a form that the API signs, straight to the bucket. */
  uploads?: "direct" | "presigned" | undefined;
  /** The name of the upload bucket, `uploads` for a directory; ids depend on it. */
  bucket?: string | undefined;
  /** How often a call is sent at most; 5 by default. */
  attempts?: number | undefined;
  /** Another fetch, for example one that signs for IAM. */
  fetch?: Fetch | undefined;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface UploadOptions extends CallOptions {
  /** False throws PreconditionFailed if the key holds a file. */
  overwrite?: boolean | undefined;
  /** Replaces only this version. */
  ifVersion?: string | undefined;
  /** For a signed form of a key without an extension; the server looks at the content only. */
  contentType?: string | undefined;
  onProgress?: OnProgress | undefined;
}

export interface ResumableOptions extends Omit<UploadOptions, "contentType"> {
  /** What `onBegin` was called with: continues an upload that an earlier page or process could not end. */
  resume?: string | undefined;
  /** Called when an upload has begun, also one that the server had lost. Keep the text for `resume`. */
  onBegin?: ((resume: string) => void) | undefined;
  /** Bytes of one request; 8 MiB by default. */
  chunkBytes?: number | undefined;
}

export interface ImportOptions extends CallOptions {
  /** Where the file is stored, as an upload that does not follow its source; by default its source's key for the URL. */
  key?: string | undefined;
  /** False throws PreconditionFailed if the key holds a file. */
  overwrite?: boolean | undefined;
  /** Replaces only this version. */
  ifVersion?: string | undefined;
}

export interface WaitOptions extends CallOptions {
  /** Seconds until WaitTimeout is thrown; 60 by default. */
  timeout?: number | undefined;
}

/** Which images, and in which order; see GET /images. */
export interface Filters {
  prefix?: string | undefined;
  search?: string | undefined;
  status?: "processing" | "processed" | "refused" | undefined;
  since?: Date | string | undefined;
  until?: Date | string | undefined;
  sort?: string | undefined;
  format?: string | undefined;
  fields?: string | undefined;
  /** Images of a page. */
  limit?: number | undefined;
}

type Parameters = Readonly<Record<string, string | number | boolean | Date | null | undefined>>;

/** Methods throw ApiError for an error response and ConnectionFailed without one, after they have tried again. */
export class Client {
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #isPresigned: boolean;
  readonly #bucket: string;
  readonly #attempts: number;
  readonly #fetch: Fetch;

  constructor({ url, token, headers, uploads = "direct", bucket = "uploads", attempts = 5, fetch }: ClientOptions) {
    if (!/^https?:\/\//i.test(url)) {
      throw new TypeError(`expected the API's address such as http://127.0.0.1:8000, got ${JSON.stringify(url)}`);
    }
    this.#base = url.replace(/\/+$/, "");
    this.#headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers };
    this.#isPresigned = uploads === "presigned";
    this.#bucket = bucket;
    this.#attempts = attempts;
    this.#fetch = fetch ?? ((...values) => globalThis.fetch(...values));
  }

  /** Store a file under `key`; it returns as soon as it is stored. `wait` waits for its renditions. */
  async upload(file: FileBody, key: string, options: UploadOptions = {}): Promise<Upload> {
    const { overwrite = true, ifVersion, contentType, onProgress, signal } = options;
    if (this.#isPresigned) {
      if (!overwrite || ifVersion !== undefined) {
        throw new TypeError("expected an upload that may overwrite, as a signed form has no conditions");
      }
      return this.uploadForm(await this.presign(key, { contentType, signal }), file, { onProgress, signal });
    }
    const headers = conditions(overwrite, ifVersion);
    if (contentType) headers["content-type"] = contentType;
    const body = blobOf(file);
    return read(await this.#send("PUT", `/uploads/${quoteKey(key)}`, { headers, body, onProgress, signal }));
  }

  /**
   * Store a large file in parts, by tus: after an interruption, also a restart of the server, only the rest is sent. On one
   * machine only.
   */
  async uploadResumable(file: FileBody, key: string, options: ResumableOptions = {}): Promise<Upload> {
    const { overwrite = true, ifVersion, chunkBytes = CHUNK_BYTES, ...rest } = options;
    if (this.#isPresigned) throw new TypeError("expected uploads by this API, as there are no resumable ones on AWS");
    const upload = { file: blobOf(file), key, headers: conditions(overwrite, ifVersion), chunkBytes, attempts: this.#attempts, ...rest };
    return sendResumable(upload, (method, path, call, attempts) => this.#send(method, path, call, attempts));
  }

  /** Have the server fetch a file of one of its remote sources, and store it. On one machine only. */
  async importUrl(url: string, { key, overwrite = true, ifVersion, signal }: ImportOptions = {}): Promise<Upload> {
    const headers = conditions(overwrite, ifVersion);
    return read(await this.#json("/uploads/from-url", { url, ...(key === undefined ? {} : { key }) }, { headers, signal }));
  }

  /** A form with which a page uploads one file under `key` without a token; `uploadForm` sends it. */
  async presign(key: string, { contentType, signal }: { contentType?: string | undefined } & CallOptions = {}): Promise<PresignedPost> {
    return read(await this.#json("/uploads", { key, ...(contentType ? { content_type: contentType } : {}) }, { signal }));
  }

  /** Upload a file by a form of `presign`. It needs no token, so a page can do it with a form from your server. */
  async uploadForm(form: PresignedPost, file: FileBody, { onProgress, signal }: Pick<UploadOptions, "onProgress" | "signal"> = {}): Promise<Upload> {
    const blob = blobOf(file);
    const body = new FormData();
    for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
    body.append("file", blob, blob instanceof File ? blob.name : "file");
    // What is for the API is sent to nobody else: the form brings its own authorisation.
    const call: Call = { method: "POST", url: this.#url(form.url), headers: {}, body, onProgress, signal };
    const reply = await send(call, this.#fetch, this.#attempts);
    if (reply.headers.get("content-type")?.startsWith("application/json")) return read(reply);
    const version = (reply.headers.get("etag") ?? "").replaceAll('"', "");
    return { id: form.id, key: form.key, bytes: blob.size, version, status: "queued", image: `/images/${form.id}` };
  }

  /** The image as soon as it is processed: by its id, or that version which an upload stored. Throws Refused, WaitTimeout. */
  async wait(image: Upload | string, { timeout = 60, signal }: WaitOptions = {}): Promise<Image> {
    const [id, version] = typeof image === "string" ? [image, ""] : [image.id, image.version];
    const end = Date.now() + timeout * 1000;
    for (let milliseconds = FIRST_PAUSE; ; milliseconds = Math.min(milliseconds * 1.5, LONGEST_PAUSE)) {
      const found = await this.#get(id, { signal }); // on AWS there is no record before the upload's event arrives
      if (found && (!version || version === found.version)) {
        if (found.status === "refused") throw Refused.of(found);
        if (found.status === "processed") return found;
      }
      const left = end - Date.now();
      if (left <= 0) throw new WaitTimeout(id, timeout, found);
      await pause(Math.min(milliseconds, left), signal);
    }
  }

  /** The image with an id. Throws NotFound. */
  async get(id: string, options: CallOptions = {}): Promise<Image> {
    return read(await this.#send("GET", imagePath(id), options));
  }

  /** The image of an original, or null. */
  async find(key: string, options: CallOptions = {}): Promise<Image | null> {
    return this.#get(await this.idOf(key), options);
  }

  /** The id of an original in the upload bucket, without a request. */
  idOf(key: string): Promise<string> {
    return imageId(this.#bucket, key);
  }

  /** One page of `list`, with the `cursor` of the next one. `total` counts all, on one machine. */
  async page(
    filters: Filters & { cursor?: string | undefined; total?: boolean | undefined } = {},
    options: CallOptions = {},
  ): Promise<Listing> {
    return read(await this.#send("GET", `/images${queryOf({ ...filters })}`, options));
  }

  /** All images that match, newest first. Pages are requested as they are needed. */
  async *list(filters: Filters = {}, options: CallOptions = {}): AsyncGenerator<Image, void, undefined> {
    let cursor: string | null | undefined;
    do {
      const page: Listing = await this.page({ limit: 100, ...filters, cursor: cursor ?? undefined }, options);
      yield* page.images;
      cursor = page.cursor;
    } while (cursor != null);
  }

  /** Delete an original with its renditions. Throws NotFound. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#send("DELETE", imagePath(id), options);
  }

  /** Render every rendition again, and return the image as it is after at most `wait` seconds. */
  async reprocess(id: string, { wait, signal }: { wait?: number | undefined } & CallOptions = {}): Promise<Image> {
    return read(await this.#send("POST", `${imagePath(id)}/reprocess`, { headers: { ...once(), ...prefer(wait) }, signal }));
  }

  /** Process a stored original now, and return the image as it is after at most `wait` seconds. Throws Refused. */
  async process(key: string, { wait = 60, signal }: { wait?: number | undefined } & CallOptions = {}): Promise<Image> {
    return read(await this.#json("/images", { key }, { headers: prefer(wait), signal }));
  }

  /** Make any rendition, such as `w=500,fm=webp`; its `url` opens it for `expiresIn` seconds. */
  async render(id: string, transformation: string, { expiresIn = 86_400, signal }: { expiresIn?: number | undefined } & CallOptions = {}): Promise<OnDemandRendition> {
    return read(await this.#json(`${imagePath(id)}/renditions`, { transformation, expires_in: expiresIn }, { signal }));
  }

  /** HTML for an image by the server, which knows its renditions: see GET /images/{id}/markup. */
  async markup(
    id: string,
    { widths, ...rest }: { preset?: string; widths?: readonly number[]; sizes?: string; alt?: string; base?: string } = {},
    options: CallOptions = {},
  ): Promise<Markup> {
    return read(await this.#send("GET", `${imagePath(id)}/markup${queryOf({ ...rest, widths: widths?.join(",") })}`, options));
  }

  async #get(id: string, options: CallOptions): Promise<Image | null> {
    try {
      return await this.get(id, options);
    } catch (error) {
      if (error instanceof NotFound) return null;
      throw error;
    }
  }

  #json(path: string, value: unknown, { headers, signal }: { headers?: Record<string, string> } & CallOptions): Promise<Reply> {
    const typed = { ...once(), ...headers, "content-type": "application/json" };
    return this.#send("POST", path, { headers: typed, body: JSON.stringify(value), signal });
  }

  #send(method: string, path: string, { headers, ...rest }: Partial<Call>, attempts = this.#attempts): Promise<Reply> {
    const call = { method, url: this.#url(path), headers: { ...this.#headers, ...headers }, ...rest };
    return send(call, this.#fetch, attempts);
  }

  #url(path: string): string {
    return /^https?:\/\//i.test(path) ? path : this.#base + path;
  }
}

function imagePath(id: string): string {
  return `/images/${encodeURIComponent(id)}`;
}

/** What a key must hold, so that an upload replaces it. */
function conditions(overwrite: boolean, ifVersion: string | undefined): Record<string, string> {
  if (ifVersion !== undefined) return { "if-match": `"${ifVersion}"` };
  return overwrite ? {} : { "if-none-match": "*" };
}

/** A key by which the server knows the attempts of one call, so that it does the work once. */
function once(): Record<string, string> {
  const { crypto } = globalThis;
  return "randomUUID" in crypto ? { "idempotency-key": crypto.randomUUID() } : {}; // a page without TLS has none
}

function prefer(wait: number | undefined): Record<string, string> {
  if (wait === undefined) return {};
  return { prefer: wait >= 1 ? `wait=${Math.min(Math.floor(wait), MAX_SERVER_WAIT)}` : "respond-async" };
}

function blobOf(file: FileBody): Blob {
  return file instanceof Blob ? file : new Blob([file as BlobPart]);
}

function queryOf(parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value != null) query.set(name, value instanceof Date ? value.toISOString() : String(value));
  }
  const text = query.toString();
  return text && `?${text}`;
}

function read<T>(reply: Reply): T {
  return JSON.parse(reply.body) as T;
}
