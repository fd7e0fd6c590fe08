// The folders of the folder that the library shows. A server that cannot list folders shows none.

import { effect, signal } from "@preact/signals";

import * as api from "../api/client";
import * as library from "./library";

const SETTLE_MILLISECONDS = 400;

export const folders = signal<readonly api.Folder[]>([]);

let request = 0;

async function load(prefix: string): Promise<void> {
  const own = ++request;
  const found = await api.folders(prefix).catch(() => []);
  if (own === request) folders.value = found;
}

// Reads them again when the folder changes, and when files that were added are done.
export function start(): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shown: string | undefined;
  effect(() => {
    const { folder } = library.filter.value;
    const isWorking = library.workingCount.value > 0;
    void library.count.value;
    if (folder !== shown) {
      shown = folder;
      folders.value = [];
      void load(folder);
    }
    clearTimeout(timer);
    if (!isWorking) timer = setTimeout(() => void load(library.filter.peek().folder), SETTLE_MILLISECONDS);
  });
}
