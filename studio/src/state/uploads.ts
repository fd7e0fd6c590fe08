// Uploads files that are chosen, dropped anywhere on the page, or pasted.

import { batch, computed, signal } from "@preact/signals";

import * as api from "../api/client";
import { bytes, counted, trouble } from "../labels";
import { numbered } from "../names";
import { calm } from "./calm";
import * as library from "./library";
import { inSlices } from "./slices";
import { say } from "./toasts";

export interface NamedFile {
  key: string;
  file: File;
}

interface Upload {
  wanted: string;
  count: number;
  key: string;
  file: File;
}

// The files that were added since the page was last idle, by how far they are.
export interface Progress {
  total: number;
  sent: number;
  ready: number;
  refused: number;
  failed: number;
}

const NOTHING: Progress = { total: 0, sent: 0, ready: 0, refused: 0, failed: 0 };
// The browser opens six connections; the events and the pictures of the page need some.
const AT_ONCE = 3;
// Smaller bodies are sent before their progress can be seen.
const MIN_PROGRESS_BYTES = 200_000;
const PROGRESS_STEP = 0.02;

export const limit = signal(Infinity);
export const isPaused = signal(false);
export const progress = signal<Progress>(NOTHING);
export const shownProgress = calm(progress);
export const isDismissed = signal(false);
// Whether the only file takes so long that it can be paused.
export const isLarge = signal(false);

export const isBusy = computed(() => {
  const { total, ready, refused, failed } = progress.value;
  return ready + refused + failed < total;
});

const queue: Upload[] = [];
const failures = new Map<string, Upload>(); // by key
const own = new Set<string>(); // keys whose outcome is awaited
const controllers = new Set<AbortController>();

export const isOwn = (key: string): boolean => own.has(key);
export const isRetriable = (key: string): boolean => failures.has(key);

// Adds files to the folder that the library shows.
export async function add(files: readonly NamedFile[]): Promise<void> {
  if (!files.length) return;
  const { folder } = library.filter.peek();
  if (!isBusy.peek()) progress.value = NOTHING;
  isDismissed.value = false;
  isLarge.value = files.length === 1 && files[0]!.file.size >= api.MIN_RESUMABLE_BYTES;
  say(`Adding ${counted(files.length, "file", "files")}.`);
  const uploads: Upload[] = [];
  await inSlices(files, ({ key, file }) => {
    const upload = name({ wanted: folder + key, count: 1, key: folder + key, file });
    library.expect(upload);
    uploads.push(upload);
  });
  batch(() => {
    library.showFirst(uploads.map(({ key }) => key));
    count({ total: uploads.length });
    enqueue(uploads);
  });
}

function enqueue(uploads: Upload[]): void {
  for (const upload of uploads) own.add(upload.key);
  queue.push(...uploads);
  sendNext();
}

export function pause(): void {
  isPaused.value = true;
}

export function resume(): void {
  isPaused.value = false;
  sendNext();
}

// Gives up what is not sent yet.
export function stop(): void {
  isPaused.value = false;
  const waiting = queue.splice(0);
  for (const controller of controllers) controller.abort();
  void inSlices(waiting, (upload) => fail(upload, "You stopped this upload."));
}

export function retry(key: string): void {
  const upload = failures.get(key);
  if (!upload) return;
  failures.delete(key);
  count({ failed: -1 });
  library.mark(key, { state: "uploading", progress: 0, note: undefined });
  enqueue([upload]);
}

export function retryAll(): void {
  void inSlices([...failures.keys()], retry);
}

export function dismiss(key: string): void {
  failures.delete(key);
  library.remove(key);
}

// Counts what the server says about the files of this page. Every file is counted once.
export function settle(key: string, outcome: "ready" | "refused" | "failed"): void {
  if (outcome !== "failed") failures.delete(key);
  if (own.delete(key)) count({ [outcome]: 1 });
}

function count(change: Partial<Progress>): void {
  const next = { ...progress.peek() };
  for (const [name, value] of Object.entries(change)) next[name as keyof Progress] += value;
  progress.value = next;
}

function sendNext(): void {
  while (!isPaused.peek() && controllers.size < AT_ONCE && queue.length) {
    const controller = new AbortController();
    controllers.add(controller);
    void send(queue.shift()!, controller.signal).finally(() => {
      controllers.delete(controller);
      sendNext();
    });
  }
}

// The upload under the first name, numbered from its count, that the page knows no other file of.
function name(upload: Upload): Upload {
  let { wanted, count: number } = upload;
  while (!isFree(numbered(wanted, number))) number++;
  return { ...upload, count: number, key: numbered(wanted, number) };
}

function isFree(key: string): boolean {
  const state = library.peek(key)?.state;
  return !state || (state === "failed" && !failures.has(key));
}

async function send(upload: Upload, signal: AbortSignal): Promise<void> {
  const { key, file } = upload;
  const { size } = file; // once: the browser asks the disk each time
  try {
    if (size > limit.peek()) throw new Error(`Larger than ${bytes(limit.peek())}.`);
    const stored = await api.upload(key, file, { size, onProgress: reporter(key, size), isPaused, stop: signal });
    count({ sent: 1 });
    if (isOnItsWay(key)) library.mark(key, { id: stored.id, state: "queued", progress: undefined, file: undefined });
  } catch (error) {
    if (error instanceof api.Problem && error.isTaken) return sendAsNext(upload, signal);
    fail(upload, error instanceof api.Problem ? trouble(error.problem) : (error as Error).message);
  }
}

function fail(upload: Upload, why: string): void {
  const { key } = upload;
  failures.set(key, upload);
  library.mark(key, { state: "failed", note: why, progress: undefined });
  settle(key, "failed");
  if (progress.peek().total === 1) say(`${key} was not added. ${why}`);
}

// The server has a file of this name that the page does not know.
function sendAsNext(upload: Upload, signal: AbortSignal): Promise<void> {
  const next = name({ ...upload, count: upload.count + 1 });
  if (isOnItsWay(upload.key)) library.remove(upload.key);
  own.delete(upload.key);
  own.add(next.key);
  batch(() => {
    library.expect(next);
    library.showFirst([next.key]);
  });
  return send(next, signal);
}

// Events may arrive before the response to the upload.
const isOnItsWay = (key: string): boolean => library.peek(key)?.state === "uploading";

function reporter(key: string, size: number): api.Watch["onProgress"] {
  if (size < MIN_PROGRESS_BYTES) return null;
  let last = 0;
  return (part) => {
    if (part - last < PROGRESS_STEP || !isOnItsWay(key)) return;
    last = part;
    library.mark(key, { progress: part });
  };
}
