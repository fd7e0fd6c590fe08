// Deletes images ten seconds after they have left the page, so that the user can undo it. If the page is closed
// before, they are deleted then.

import * as api from "../api/client";
import { counted, fileName } from "../labels";
import { inParallel } from "./bulk";
import * as library from "./library";
import { close } from "./location";
import { UNDO_MILLISECONDS, dismiss, say, sayError } from "./toasts";

export interface Removable {
  readonly key: string;
  readonly id: string;
}

interface Pending {
  readonly images: readonly Removable[];
  readonly timer: ReturnType<typeof setTimeout>;
  readonly toast: number;
}

const MAX_GONE = 100;
let waiting: readonly Pending[] = [];

export function remove(images: readonly Removable[]): void {
  if (!images.length) return;
  library.hide(images.map(({ key }) => key));
  for (const { id } of images) close(id);
  const name = images.length === 1 ? fileName(images[0]!.key) : counted(images.length, "image", "images");
  const pending: Pending = {
    images,
    timer: setTimeout(() => void commit(pending), UNDO_MILLISECONDS),
    toast: say(`${name} deleted.`, { label: "Undo", run: () => undo(pending) }),
  };
  waiting = [...waiting, pending];
}

// Undoes the last deletion that is not done yet. False if there is none.
export function undoLast(): boolean {
  const last = waiting.at(-1);
  if (last) undo(last);
  return last !== undefined;
}

function take(pending: Pending): boolean {
  const isWaiting = waiting.includes(pending);
  waiting = waiting.filter((other) => other !== pending);
  clearTimeout(pending.timer);
  dismiss(pending.toast);
  return isWaiting;
}

function undo(pending: Pending): void {
  if (take(pending)) library.unhide(pending.images.map(({ key }) => key));
}

async function commit(pending: Pending): Promise<void> {
  if (!take(pending)) return;
  // Each removal costs as much as all that are hidden: some at once.
  let gone: string[] = [];
  const flush = () => {
    library.remove(...gone);
    gone = [];
  };
  const settle = (key: string) => gone.push(key) >= MAX_GONE && flush();
  await inParallel("Deleting", pending.images, async ({ key, id }) => {
    try {
      await api.remove(id);
      settle(key);
    } catch (error) {
      const isGone = error instanceof api.Problem && error.problem.status === 404;
      if (isGone) return void settle(key);
      library.unhide([key]);
      sayError(error);
    }
  });
  flush();
}

// Requests of a closing page must be marked to outlive it.
export function start(): void {
  addEventListener("pagehide", () => {
    for (const pending of waiting) if (take(pending)) for (const { id } of pending.images) api.removeAtEnd(id);
  });
}
