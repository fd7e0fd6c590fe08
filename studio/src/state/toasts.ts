// Short messages at the edge of the window, which screen readers read out.

import { signal } from "@preact/signals";

const MILLISECONDS = 6000;
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

export function say(text: string, action?: Action): void {
  const id = ++lastId;
  toasts.value = [...toasts.value, { id, text, action }].slice(-MAX_SHOWN);
  setTimeout(() => dismiss(id), MILLISECONDS);
}

export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export const sayError = (error: unknown): void => say((error as Error).message);
