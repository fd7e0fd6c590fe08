// The server's events. They are handed on in batches, because a burst of thousands would otherwise draw the
// page thousands of times.

import { isOnAws } from "./aws";
import { address, newest, type ImageEvent } from "./client";
import { poll } from "./polls";

export const EVENT_TYPES = [
  "queued",
  "started",
  "processed",
  "refused",
  "deleted",
  "skipped",
  "unchanged",
  "retrying",
  "failed",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];
export type TypedEvent = ImageEvent & { type: EventType };

const BATCH_MILLISECONDS = 100;
const RECONNECT_MILLISECONDS = 2000;

export interface Listener {
  onReady(missed: boolean): void;
  onEvents(events: TypedEvent[]): void;
  onLost(): void;
}

// Follows the events while the page is open. Every connection calls `onReady(missed)`. The browser reconnects
// after a lost connection, but not after a response like 503.
export function follow(listener: Listener): void {
  if (isOnAws) return poll(newest, listener);
  const source = new EventSource(address("/events"));
  const collect = batcher(listener.onEvents);
  source.addEventListener("ready", (message) => listener.onReady(JSON.parse(message.data).missed));
  for (const type of EVENT_TYPES) {
    source.addEventListener(type, (message) => collect(JSON.parse(message.data)));
  }
  source.onerror = () => {
    listener.onLost();
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => follow({ ...listener, onReady: () => listener.onReady(true) }), RECONNECT_MILLISECONDS);
  };
}

// Collects items for BATCH_MILLISECONDS from the first one on.
function batcher(onItems: (items: TypedEvent[]) => void): (item: TypedEvent) => void {
  let items: TypedEvent[] = [];
  return (item) => {
    if (items.push(item) > 1) return;
    setTimeout(() => {
      const collected = items;
      items = [];
      onItems(collected);
    }, BATCH_MILLISECONDS);
  };
}
