// Keeps the library up to date with the server's events.

import { batch, effect, signal } from "@preact/signals";

import * as access from "./access";
import { follow, type TypedEvent } from "../api/events";
import { type Item, isDone, newItem } from "./item";
import * as library from "./library";
import { close } from "./location";
import * as selection from "./selection";
import { sayReady, sayRefused, summary } from "./outcomes";
import { say, sayError } from "./toasts";
import * as uploads from "./uploads";

export const isConnected = signal(false);

// Whether new images may be shown at the top of the grid now, or would move what the user looks at.
let mayMove: () => boolean = () => true;
export const askBeforeMoving = (ask: () => boolean): void => void (mayMove = ask);

const FAILED = "Failed for now; the next reconciliation tries again.";
const SKIPPED = "Stored; the recipe makes no renditions of it.";

type Change = Partial<Item>;

// What an event says about an image. A finished image stays shown while it is processed again.
function change(event: TypedEvent, item: Item | undefined): Change {
  switch (event.type) {
    case "queued":
      return item && isDone(item) ? { isUpdating: true } : { state: "queued", note: undefined };
    case "started":
      return item && isDone(item) ? { isUpdating: true } : { state: "processing", note: undefined };
    case "retrying":
      return item && isDone(item) ? { isUpdating: true } : { state: "queued", note: "Waiting for another try" };
    case "failed":
      return { state: "delayed", note: FAILED, isUpdating: false };
    case "skipped":
      return { state: "skipped", note: SKIPPED, isUpdating: false };
    case "unchanged":
      if (item?.image && isDone(item)) return { isUpdating: false };
      return finished(event, item);
    default:
      return finished(event, item);
  }
}

const finished = ({ detail }: TypedEvent, item: Item | undefined): Change => ({
  state: detail.reason ? "refused" : "processed",
  changes: (item?.changes ?? 0) + 1,
  isUpdating: false,
  note: undefined,
});

function tell(event: TypedEvent): void {
  const { key, detail, type } = event;
  const isAlone = !uploads.isOwn(key) || uploads.progress.peek().total === 1;
  if (type === "processed" && isAlone) sayReady(key, detail.renditions as number);
  if (type === "refused" && isAlone) sayRefused(key, detail.reason as string);
  if (type === "failed") uploads.settle(key, "failed");
  else if (type === "refused" || (type === "unchanged" && detail.reason)) uploads.settle(key, "refused");
  else if (type === "processed" || type === "unchanged" || type === "skipped") uploads.settle(key, "ready");
}

function onEvents(events: TypedEvent[]): void {
  const found = new Map<string, Item>();
  const gone: string[] = [];
  batch(() => {
    for (const event of events) {
      const { key, id } = event;
      if (event.type === "deleted") {
        found.delete(key);
        gone.push(key);
        close(id);
        continue;
      }
      const known = library.peek(key);
      const item = known ?? found.get(key);
      const changed = { ...(item ?? newItem(key, "queued")), id, ...change(event, item) };
      if (known) library.mark(key, changed);
      else if (!selection.isKnown(key)) found.set(key, changed); // else it is further down, and not new
      tell(event);
    }
    library.remove(...gone);
    if (found.size) library.addFound([...found.values()], mayMove());
  });
}

// One sentence for everything that was added together.
function sayWhenDone(): void {
  let wasBusy = false;
  effect(() => {
    const isBusy = uploads.isBusy.value;
    if (wasBusy && !isBusy) {
      const { total, ready, refused, failed } = uploads.progress.peek();
      if (total > 1) say(summary(ready, refused, failed));
    }
    wasBusy = isBusy;
  });
}

export function start(): void {
  let isFirst = true;
  sayWhenDone();
  follow({
    onEvents,
    onReady: (missed) => {
      isConnected.value = true;
      // A library that is not loaded says itself why.
      if (missed || isFirst) library.reload().catch((error) => library.isLoaded.peek() && sayError(error));
      isFirst = false;
    },
    onLost: () => {
      isConnected.value = false;
      void access.load(); // the token may be the reason
    },
  });
}
