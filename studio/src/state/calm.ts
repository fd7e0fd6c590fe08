// What changes thousands of times a minute, for those who only look at it.

import { effect, signal, type ReadonlySignal } from "@preact/signals";

const MILLISECONDS = 250;

// Follows a signal: a change at once, and those that come soon after it together.
export function calm<T>(source: ReadonlySignal<T>): ReadonlySignal<T> {
  const shown = signal(source.peek());
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = () => {
    shown.value = source.peek();
    timer = setTimeout(() => {
      timer = undefined;
      if (shown.peek() !== source.peek()) show();
    }, MILLISECONDS);
  };
  effect(() => {
    if (source.value !== shown.peek() && timer === undefined) show();
  });
  return shown;
}
