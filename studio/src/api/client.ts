// The REST API of the server: every request of the page is made here.

import type { ReadonlySignal } from "@preact/signals";

import { SIZES, type Filter, since } from "../state/filter";
import * as aws from "./aws";
import { renew } from "./login";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Image = Schemas["ImageModel"];
export type Rendition = Schemas["RenditionModel"];
export type Metadata = Schemas["MetadataModel"];
export type ProblemDocument = Partial<Schemas["ProblemModel"]> & { detail: string };
export type ImageEvent = Schemas["EventModel"];
export type Parameter = Schemas["ParameterModel"];
type Health = Schemas["StandaloneHealthModel"];
export type Folder = Schemas["FolderModel"];
type Upload = Pick<Schemas["UploadModel"], "id">;

// What a card shows of an image. The details of one image have all of it.
const CARD_FIELDS = [
  "renditions",
  "reason",
  "message",
  "fix",
  "created_at",
  "facts",
  "dominant_colour",
  "thumbhash",
  "focus",
  "saving",
  "focal_point",
] as const satisfies readonly (keyof Image)[];
export type CardImage = Pick<Image, "id" | "bucket" | "original" | "status" | (typeof CARD_FIELDS)[number]>;

export const MAX_IDS = 100;

// A failed request; `problem` is the server's problem document (RFC 9457).
export class Problem extends Error {
  constructor(readonly problem: ProblemDocument) {
    super(problem.detail);
  }

  // Whether the key of an upload already holds another file.
  get isTaken(): boolean {
    return this.problem.code === "precondition-failed";
  }
}

export const OFFLINE = "offline";
export const LOST = new Problem({ code: OFFLINE, detail: "The connection was lost." });
export const STOPPED = new Problem({ code: "stopped", detail: "You stopped this upload." });

// The event of the window for a request that needs a token, or another one.
export const UNAUTHORIZED = "unauthorized";

// The address of a path of the server. The page may be below a path of a proxy, which the server does not
// know: "/renditions/a" of the server is "renditions/a" of the page.
export const address = (path: string): string => path.replace(/^\/(?!\/)/, new URL("./", document.baseURI).pathname);

async function send(path: string, init: RequestInit): Promise<Response> {
  await renew();
  return sendNow(path, init);
}

const sendNow = (path: string, init: RequestInit) =>
  fetch(address(path), { ...init, headers: { ...aws.headers(), ...(init.headers as Record<string, string>) } });

async function answerOf<T>(sending: Promise<Response>): Promise<T> {
  const response = await sending.catch(() => {
    throw new Problem({ code: OFFLINE, detail: "The server does not respond." });
  });
  if (response.status === 204) return null as T;
  const body = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  if (aws.isRefused(response.status, body.code)) dispatchEvent(new Event(UNAUTHORIZED));
  if (!response.ok) throw new Problem(body);
  return body;
}

export const request = <T>(method: string, path: string, content: Pick<RequestInit, "headers" | "body" | "keepalive"> = {}): Promise<T> =>
  answerOf<T>(send(path, { method, ...content }));

export const health = () => request<Health>("GET", "/health");
export const image = (id: string) => request<Image>("GET", `/images/${id}`);
export const remove = (id: string) => request<null>("DELETE", `/images/${id}`);
// Without a response: the page is closing.
export const removeAtEnd = (id: string) => void sendNow(`/images/${id}`, { method: "DELETE", keepalive: true });
export const reprocess = (id: string) => request<Image>("POST", `/images/${id}/reprocess`);
export const sample = () => request<Upload>("POST", "/samples");

// What every listing has of an image.
export type ImageName = Pick<Image, "id" | "original">;

interface Listing<T = CardImage> {
  images: T[];
  cursor: string | null;
  total: number | null;
}

type Parameters = Record<string, string | number | null>;

function list<T = CardImage>(parameters: Parameters, fields: readonly string[] = CARD_FIELDS): Promise<Listing<T>> {
  const query = new URLSearchParams({ fields: fields.join() });
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, String(value));
  return request<Listing<T>>("GET", `/images?${query}`);
}

// A page, and with the first one the number of all images, if the server can count them.
export function page(filter: Filter, limit: number, cursor: string | null): Promise<Listing> {
  if (filter.near) return near(filter.near, limit);
  return list({ ...matching(filter), limit, cursor, total: cursor ? null : "true" });
}

const MAX_NAMES = 1000;

// The names of all images that match.
export async function names(filter: Filter): Promise<ImageName[]> {
  if (filter.near) return (await near(filter.near, MAX_IDS)).images;
  const found: ImageName[] = [];
  let cursor: string | null = null;
  do {
    const listing: Listing<ImageName> = await list({ ...matching(filter), limit: MAX_NAMES, cursor }, ["id"]);
    found.push(...listing.images);
    cursor = listing.cursor;
  } while (cursor);
  return found;
}

function matching(filter: Filter): Parameters {
  const { search, status, sort, format } = filter;
  const [low, high] = SIZES[filter.size] ?? [0, Infinity];
  return {
    search,
    status,
    sort,
    format,
    prefix: filter.folder,
    min_bytes: low,
    max_bytes: high === Infinity ? null : high,
    since: since(filter.date),
  };
}

// An image, and after it those that look like it, the nearest first.
async function near(id: string, limit: number): Promise<Listing> {
  const [own, found] = await Promise.all([image(id), similar(id, limit)]);
  const images = [own, ...found.map((match) => match.image)];
  return { images, cursor: null, total: images.length };
}

export async function similar(id: string, limit: number): Promise<Schemas["SimilarImageModel"][]> {
  return (await request<Schemas["SimilarImagesModel"]>("GET", `/images/${id}/similar?limit=${limit}`)).images;
}

export async function folders(prefix: string): Promise<Folder[]> {
  return (await request<Schemas["FoldersModel"]>("GET", `/folders?${new URLSearchParams({ prefix })}`)).folders;
}

const JSON_TYPE = { "content-type": "application/json" };

export async function putFocus(id: string, [x, y]: readonly [number, number]): Promise<void> {
  // Sent although the page may be closing.
  await request<Image>("PUT", `/images/${id}/focus`, { headers: JSON_TYPE, body: JSON.stringify({ x, y }), keepalive: true });
}

export async function deleteFocus(id: string): Promise<void> {
  await request<Image>("DELETE", `/images/${id}/focus`);
}

// Has the server fetch a file: under the key of its source, or under one that must be free.
export function importUrl(url: string, key: string): Promise<Schemas["UploadModel"]> {
  const headers = key ? { ...JSON_TYPE, "If-None-Match": "*" } : JSON_TYPE;
  return request<Schemas["UploadModel"]>("POST", "/uploads/from-url", { headers, body: JSON.stringify(key ? { url, key } : { url }) });
}

// Stores another file under a key that still has this version.
export async function replaceOriginal(key: string, file: File, version: string | null): Promise<void> {
  const condition = version === null ? "*" : `"${version}"`;
  await request<Upload>("PUT", uploadPath(key), { headers: { "If-Match": condition }, body: file });
}

// On AWS: an address of the bucket, which starts a download.
export const downloadUrl = async (id: string) => (await request<{ url: string }>("GET", `/images/${id}/download`)).url;

export const originalUrl = (id: string) => address(`/images/${id}/original`);

export const newest = async () => (await list({ limit: MAX_IDS })).images;

// What an archive needs to know of an image.
export type Archivable = Pick<Image, "id" | "bucket" | "original" | "status" | "renditions" | "facts" | "created_at">;

export const archivable = async (ids: readonly string[]) =>
  (await list<Archivable>({ ids: ids.join() }, ["renditions", "facts", "created_at"])).images;

export const byIds = async (ids: string[]) => (await list({ ids: ids.join() })).images;

export const sendJson = (path: string, body: object, signal: AbortSignal | null = null) =>
  send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });

const uploadPath = (key: string) => "/uploads/" + key.split("/").map(encodeURIComponent).join("/");

// Stores a file under a key that must be free. XMLHttpRequest reports the progress of the body; fetch
// does not.
export async function upload(key: string, file: File, watch: Watch): Promise<Upload> {
  const { onProgress, stop: signal } = watch;
  if (aws.isOnAws) return uploadByForm(key, file, onProgress, signal);
  if (watch.size >= MIN_RESUMABLE_BYTES) {
    const resumable = await import("./resumable");
    return { id: await resumable.send(address("/resumable"), key, file, watch) };
  }
  return transfer<Upload>("PUT", address(uploadPath(key)), { "If-None-Match": "*" }, file, onProgress, signal);
}

// Null for what is sent before its progress can be seen: the browser then reports none.
type Progress = ((part: number) => void) | null;

// How large an upload is, and how it is followed, held and given up. Only resumable ones can be held.
export interface Watch {
  size: number;
  onProgress: Progress;
  isPaused: ReadonlySignal<boolean>;
  stop: AbortSignal;
}

// What is smaller is sent again as a whole after an interruption.
export const MIN_RESUMABLE_BYTES = 4_000_000;


// The bucket replaces what a key holds without asking, so the page asks the API first.
async function uploadByForm(key: string, file: File, onProgress: Progress, signal: AbortSignal): Promise<Upload> {
  const wanted = { key, ...(file.type ? { content_type: file.type } : {}) };
  const form = await answerOf<aws.Form>(sendJson("/uploads", wanted, signal));
  if (await exists(form.id)) throw new Problem({ code: "precondition-failed", detail: `${key} exists.` });
  await transfer("POST", form.url, {}, aws.body(form, file), onProgress, signal);
  return { id: form.id };
}

const exists = (id: string) =>
  image(id).then(
    () => true,
    (error) => {
      if (error instanceof Problem && error.problem.code === "not-found") return false;
      throw error;
    },
  );

function transfer<T>(
  method: string,
  url: string,
  headers: Record<string, string>,
  body: XMLHttpRequestBodyInit,
  onProgress: Progress,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.responseType = "json";
    if (onProgress) xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onerror = () => reject(LOST);
    xhr.onabort = () => reject(STOPPED);
    xhr.onload = () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve(xhr.response);
      else reject(new Problem(xhr.response ?? { detail: `The server answered ${xhr.status}.` }));
    };
    signal.addEventListener("abort", () => xhr.abort(), { once: true });
    xhr.send(body);
  });
}
