// The images that the user has chosen, to do something with all of them.

import { computed, signal } from "@preact/signals";

import type { Item } from "./item";
import * as library from "./library";

const chosen = signal<ReadonlySet<string>>(new Set()); // keys
let anchor: string | null = null;

// In the order of the grid. What has left the grid is not chosen any more.
export const selected = computed<readonly string[]>(() => {
  const keys = chosen.value;
  return keys.size ? library.shown.value.filter((key) => keys.has(key)) : [];
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

export function selectAll(): void {
  chosen.value = new Set(library.shown.peek());
}

export function clear(): void {
  chosen.value = new Set();
  anchor = null;
}

// The chosen images that the server knows.
export const selectedItems = (): (Item & { id: string })[] =>
  selected
    .peek()
    .map((key) => library.peek(key))
    .filter((item): item is Item & { id: string } => item !== undefined && item.id !== null);
