// The images of the grid. The server's records are the source of truth; states that only the page knows (a
// file that is being uploaded, a queued key) are kept until a record replaces them.
//
// Each image is a signal of its own, so that a change draws one card. The order changes only when the user
// filters, adds files or scrolls to the end: nothing moves under the pointer.

import { batch, computed, signal, type Signal } from "@preact/signals";

import * as api from "../api/client";
import { ALL, SIZES, type Filter, isFiltered } from "./filter";
import { type Item, fromRecord, isDone, isLocal, isWorking, newItem } from "./item";

const PAGE = 100;
const READ_MILLISECONDS = 50;

const items = new Map<string, Signal<Item>>(); // by key
const keys = new Map<string, string>(); // by id
const order = signal<readonly string[]>([]);
const changes = signal(0); // grows with every change of an image

export const filter = signal<Filter>(ALL);
export const cursor = signal<string | null>(null);
export const isLoaded = signal(false);
export const isLoadingMore = signal(false);
export const loadError = signal<string | null>(null);
// Images that were added elsewhere and wait to be shown, because they would move what the user looks at.
export const waiting = signal<readonly string[]>([]);

// How many images match on the server that are not in the page yet; null if it cannot count them.
const unloaded = signal<number | null>(0);

// Images that will be deleted soon, unless the user undoes it.
const hidden = signal<ReadonlySet<string>>(new Set());

export const isHidden = (key: string): boolean => hidden.value.has(key);

const isUnloaded = (key: string): boolean => !items.has(key);

// How many images match; null if that is not known.
export const total = computed(() => {
  const [count, among] = [shown.value.length, unloaded.value];
  return among === null ? null : count + Math.max(0, among - [...hidden.value].filter(isUnloaded).length);
});

export function hide(keys: readonly string[]): void {
  hidden.value = new Set([...hidden.peek(), ...keys]);
}

export function unhide(keys: readonly string[]): void {
  const gone = new Set(keys);
  hidden.value = new Set([...hidden.peek()].filter((key) => !gone.has(key)));
}

export const shown = computed<readonly string[]>(() => {
  const isHidden = hidden.value;
  const isAll = !isFiltered(filter.value);
  if (isAll && !isHidden.size) return order.value;
  if (!isAll) void changes.value;
  return order.value.filter((key) => !isHidden.has(key) && (isAll || matches(items.get(key)!.peek())));
});

// How many images the page knows.
export const count = computed(() => order.value.length);

export const workingCount = signal(0);

export const itemOf = (key: string): Signal<Item> | undefined => items.get(key);
export const peek = (key: string): Item | undefined => items.get(key)?.peek();
export const keyOf = (id: string): string | undefined => keys.get(id);

function matches(item: Item): boolean {
  const { search, status, folder, format, size, near } = filter.value;
  const { facts } = item.image ?? {};
  const [low, high] = SIZES[size] ?? [0, Infinity];
  return (
    item.key.startsWith(folder) &&
    item.key.toLowerCase().includes(search.toLowerCase()) &&
    (!status || status === item.state || isLocal(item)) &&
    (!format || !facts || facts.format === format) &&
    (!facts || (facts.bytes >= low && facts.bytes < high)) &&
    (!near || item.image !== null)
  );
}

function write(item: Item): void {
  const known = items.get(item.key);
  workingCount.value += Number(isWorking(item)) - Number(known !== undefined && isWorking(known.peek()));
  if (known) known.value = item;
  else items.set(item.key, signal(item));
  if (item.id) keys.set(item.id, item.key);
  changes.value++;
}

// Changes an image that the page knows, or adds it at the top.
export function mark(key: string, change: Partial<Item>): void {
  const known = peek(key);
  batch(() => {
    write({ ...(known ?? newItem(key, "queued")), ...change });
    if (!known) order.value = [key, ...order.value];
  });
}

// A file that will be added. It is not shown yet.
export const expect = ({ key, file }: { key: string; file: File }): void => write({ ...newItem(key, "uploading"), file, progress: 0 });

// Shows files at the top, in their order.
export function showFirst(keys: readonly string[]): void {
  const added = new Set(keys);
  order.value = [...added, ...order.peek().filter((key) => !added.has(key))];
}

// Adds images of somebody else. They wait where they would move what the user looks at.
export function addFound(found: readonly Item[], mayMove: boolean): void {
  batch(() => {
    for (const item of found) write(item);
    waiting.value = [...found.filter(matches).map(({ key }) => key).reverse(), ...waiting.value];
    if (mayMove) showWaiting();
  });
}

export function showWaiting(): void {
  batch(() => {
    const known = new Set(order.value);
    order.value = [...waiting.value.filter((key) => items.has(key) && !known.has(key)), ...order.value];
    waiting.value = [];
  });
}

export function remove(...removed: string[]): void {
  const gone = new Set(removed.filter((key) => items.has(key)));
  const unseen = removed.filter((key) => isUnloaded(key) && hidden.peek().has(key));
  if (!gone.size && !unseen.length) return;
  batch(() => {
    unloaded.value &&= Math.max(0, unloaded.value - unseen.length);
    unhide(unseen);
    for (const key of gone) forget(key);
    unhide([...gone]);
    order.value = order.value.filter((key) => !gone.has(key));
    waiting.value = waiting.value.filter((key) => !gone.has(key));
    changes.value++;
  });
}

function forget(key: string): void {
  const item = peek(key)!;
  if (isWorking(item)) workingCount.value--;
  if (item.id) keys.delete(item.id);
  items.delete(key);
}

let loading = 0;

// Reads the first page again; keeps the states that only this page knows.
export async function reload(): Promise<void> {
  const request = ++loading;
  loadError.value = null;
  const page = await api.page(filter.peek(), PAGE, null).catch((error: Error) => {
    if (request === loading && !isLoaded.peek()) loadError.value = error.message; // there is nothing to show instead
    throw error;
  });
  if (request !== loading) return; // a later request has replaced this one
  batch(() => {
    const recorded = new Set(page.images.map(({ original }) => original));
    const local = [...items.values()].map((item) => item.peek()).filter((item) => isLocal(item) && !recorded.has(item.key));
    items.clear();
    keys.clear();
    workingCount.value = 0;
    for (const item of local) write(item);
    for (const image of page.images) write(fromRecord(image));
    order.value = [...local.map(({ key }) => key), ...recorded];
    waiting.value = [];
    cursor.value = page.cursor;
    unloaded.value = page.cursor ? page.total && page.total - page.images.length : 0;
    loadError.value = null;
    isLoaded.value = true;
  });
}

export async function loadMore(): Promise<void> {
  if (isLoadingMore.peek() || !cursor.peek()) return;
  isLoadingMore.value = true;
  loadError.value = null;
  const request = loading;
  try {
    const page = await api.page(filter.peek(), PAGE, cursor.peek());
    if (request !== loading) return;
    batch(() => {
      const known = new Set(order.peek());
      for (const image of page.images) write(fromRecord(image));
      const rest = unloaded.peek();
      unloaded.value = page.cursor ? rest && Math.max(0, rest - page.images.length) : 0;
      order.value = [...order.peek(), ...page.images.map(({ original }) => original).filter((key) => !known.has(key))];
      cursor.value = page.cursor;
    });
  } catch (error) {
    loadError.value = (error as Error).message;
  } finally {
    isLoadingMore.value = false;
  }
}

export async function filterBy(next: Filter): Promise<void> {
  filter.value = next;
  await reload();
}

// Reads the records of images that are in view and have changed: one request for up to MAX_IDS of them, one
// request at a time.
const unread = new Set<string>(); // ids
let isReading = false;

export function read(id: string): void {
  unread.add(id);
  if (isReading) return;
  isReading = true;
  setTimeout(readUnread, READ_MILLISECONDS);
}

async function readUnread(): Promise<void> {
  while (unread.size) {
    const ids = [...unread].slice(0, api.MAX_IDS);
    for (const id of ids) unread.delete(id);
    const changesOf = new Map(ids.map((id) => [id, itemById(id)?.changes ?? 0]));
    const images = await api.byIds(ids).catch(() => []);
    batch(() => {
      for (const image of images) apply(image, changesOf.get(image.id)!);
    });
  }
  isReading = false;
}

const itemById = (id: string): Item | undefined => peek(keys.get(id) ?? "");

// Shows a record that was read when ``changesRead`` changes were known. What is done stays done, although its
// original may be processed again.
function apply(image: api.CardImage, changesRead: number): void {
  const item = itemById(image.id);
  if (!item) return;
  const state = isDone(item) && image.status !== "refused" ? "processed" : image.status;
  write({ ...item, state, image, changesRead, note: undefined });
}
