// One image of the library as the page knows it.

import type { CardImage } from "../api/client";

// The server's states, and those that only this page knows: a file that is being sent, was not accepted, or
// is stored without renditions.
export type State = "uploading" | "queued" | "processing" | "processed" | "refused" | "failed" | "delayed" | "skipped";

export interface Item {
  readonly key: string;
  readonly id: string | null;
  readonly state: State;
  // The last record of the server; null until one was read.
  readonly image: CardImage | null;
  // How many changes of the record are known, and how many of them are in `image`. A record is read again when
  // somebody sees its card.
  readonly changes: number;
  readonly changesRead: number;
  // A finished image that is processed again. It stays shown as it was.
  readonly isUpdating: boolean;
  readonly note?: string | undefined;
  // While it is sent. Its size is read for a card that is drawn: the browser asks the disk each time.
  readonly file?: File | undefined;
  readonly progress?: number | undefined;
}

const LOCAL: ReadonlySet<State> = new Set(["uploading", "queued", "failed", "delayed", "skipped"]);
const WORKING: ReadonlySet<State> = new Set(["uploading", "queued", "processing"]);
const DONE: ReadonlySet<State> = new Set(["processed", "refused"]);

export const isStale = ({ changes, changesRead }: Item) => changes > changesRead;
export const isLocal = ({ state }: Item) => LOCAL.has(state);
export const isWorking = ({ state, isUpdating }: Item) => isUpdating || WORKING.has(state);
export const isDone = ({ state }: Item) => DONE.has(state);
export const hasFailed = ({ state }: Item) => state === "refused" || state === "failed" || state === "delayed";

export const newItem = (key: string, state: State): Item => ({
  key,
  id: null,
  state,
  image: null,
  changes: 0,
  changesRead: 0,
  isUpdating: false,
});

export const fromRecord = (image: CardImage): Item => ({
  ...newItem(image.original, image.status),
  id: image.id,
  image,
});
