// The images that the user has chosen, to do something with all of them. All that match the filter can be chosen,
// also those that the page has not loaded.

import { computed, signal } from "@preact/signals";

import * as api from "../api/client";
import type { Filter } from "./filter";
import * as library from "./library";
import { sayError } from "./toasts";

export interface Chosen {
  readonly key: string;
  readonly id: string;
}

const chosen = signal<ReadonlySet<string>>(new Set()); // keys
let anchor: string | null = null;

// What matches a filter, by key: read when all of it was chosen.
const matching = signal<{ readonly filter: Filter | null; readonly ids: ReadonlyMap<string, string> }>({ filter: null, ids: new Map() });
export const isReading = signal(false);

// In the order of the grid, and after them those that are not loaded. What has left the grid is not chosen any more.
export const selected = computed<readonly string[]>(() => {
  const keys = chosen.value;
  if (!keys.size) return [];
  const { filter, ids } = matching.value;
  const loaded = library.shown.value.filter((key) => keys.has(key));
  if (filter !== library.filter.value) return loaded;
  return [...loaded, ...[...ids.keys()].filter((key) => keys.has(key) && !library.itemOf(key) && !library.isHidden(key))];
});

export const isSelected = (key: string): boolean => chosen.value.has(key);

export function toggle(key: string): void {
  const next = new Set(chosen.peek());
  if (!next.delete(key)) next.add(key);
  chosen.value = next;
  anchor = key;
}

// Adds all images from the last chosen one to this one.
export function extendTo(key: string): void {
  const keys = library.shown.peek();
  const [from, to] = [keys.indexOf(anchor ?? key), keys.indexOf(key)];
  if (from < 0 || to < 0) return toggle(key);
  const range = keys.slice(Math.min(from, to), Math.max(from, to) + 1);
  chosen.value = new Set([...chosen.peek(), ...range]);
}

// Chooses all images that match the filter.
export function selectAll(): void {
  chosen.value = new Set(library.shown.peek());
  if (library.cursor.peek()) void selectUnloaded();
}

async function selectUnloaded(): Promise<void> {
  const filter = library.filter.peek();
  isReading.value = true;
  try {
    const found = await api.names(filter);
    if (filter !== library.filter.peek() || !chosen.peek().size) return;
    matching.value = { filter, ids: new Map(found.map(({ id, original }) => [original, id])) };
    chosen.value = new Set([...chosen.peek(), ...matching.peek().ids.keys()]);
  } catch (error) {
    sayError(error);
  } finally {
    isReading.value = false;
  }
}

export function clear(): void {
  chosen.value = new Set();
  anchor = null;
}

// Whether the server has an image that the page has not loaded, as far as the page has asked for names.
export const isKnown = (key: string): boolean => matching.peek().ids.has(key);

// The chosen images that the server knows.
export const selectedItems = (): Chosen[] =>
  selected.peek().flatMap((key) => {
    const id = library.peek(key)?.id ?? matching.peek().ids.get(key);
    return id ? [{ key, id }] : [];
  });
