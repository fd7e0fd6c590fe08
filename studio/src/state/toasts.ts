// Short messages at the edge of the window, which screen readers read out.

import { signal } from "@preact/signals";

const MILLISECONDS = 6000;
// What has a button stays long enough to reach it.
export const UNDO_MILLISECONDS = 10_000;
const MAX_SHOWN = 3;

export interface Action {
  label: string;
  run(): void;
}

export interface Toast {
  id: number;
  text: string;
  action?: Action | undefined;
}

export const toasts = signal<readonly Toast[]>([]);
let lastId = 0;

// Returns what `dismiss` takes.
export function say(text: string, action?: Action, milliseconds = action ? UNDO_MILLISECONDS : MILLISECONDS): number {
  const id = ++lastId;
  toasts.value = fitting([...toasts.value, { id, text, action }]);
  setTimeout(() => dismiss(id), milliseconds);
  return id;
}

// What can still be undone is not pushed out by other messages.
function fitting(shown: readonly Toast[]): readonly Toast[] {
  if (shown.length <= MAX_SHOWN) return shown;
  const oldest = shown.findIndex(({ action }) => !action);
  return shown.filter((_, at) => at !== Math.max(0, oldest));
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export const sayError = (error: unknown): void => void say((error as Error).message);
