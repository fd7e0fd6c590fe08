// Long work in slices, between which the browser draws the page and responds to its user.

import { batch } from "@preact/signals";

// Short enough that a slice stays below a frame, also where others use the same core.
const MILLISECONDS = 8;

declare const scheduler: { yield?(): Promise<void> } | undefined;

// Lets the browser do what waits. Browsers without scheduler.yield() come back by a message, which waits for no timer.
export function rest(): Promise<void> {
  if (typeof scheduler !== "undefined" && scheduler?.yield) return scheduler.yield();
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

// So few are done at once.
const FEW = 100;

// Runs `run` for each item in order, apart from what comes before and after it. What it changes within a slice is
// drawn once.
export async function inSlices<T>(items: readonly T[], run: (item: T) => void): Promise<void> {
  const isLong = items.length > FEW;
  if (isLong) await rest();
  for (let at = 0; at < items.length; ) {
    if (at) await rest();
    const end = performance.now() + MILLISECONDS;
    batch(() => {
      do run(items[at++]!);
      while (at < items.length && performance.now() < end);
    });
  }
  if (isLong) await rest();
}
