// What stands in for the stream of events on AWS: the newest images are read again and again.

import type { CardImage } from "./client";
import type { Listener, TypedEvent } from "./events";

const MILLISECONDS = 3000;
const HIDDEN_MILLISECONDS = 30_000;

const isSettled = (status: CardImage["status"]): boolean => status === "processed" || status === "refused";

const event = (image: CardImage): TypedEvent => ({
  type: image.status === "refused" ? "refused" : "processed",
  id: image.id,
  key: image.original,
  sequence: 0,
  detail: { renditions: image.renditions.length, ...(image.reason ? { reason: image.reason } : {}) },
});

// Compares each listing with the one before. Images that are older than the listing are not followed.
export function poll(newest: () => Promise<CardImage[]>, listener: Listener): void {
  let known: Map<string, string> | null = null;
  let isLost = true;
  const look = async () => {
    try {
      const images = await newest();
      const before = known;
      known = new Map(images.map((image) => [image.id, JSON.stringify(image)]));
      if (isLost) listener.onReady(false);
      if (before) listener.onEvents(images.filter(({ id, status }) => isSettled(status) && before.get(id) !== known!.get(id)).map(event));
      isLost = false;
    } catch {
      isLost = true;
      listener.onLost();
    }
    setTimeout(() => void look(), document.hidden ? HIDDEN_MILLISECONDS : MILLISECONDS);
  };
  void look();
}
