// Sets the focus of the image that is open.
//
// The page shows a point at once, and goes on showing it until it has read a record that knows of it: one that was
// asked for after the server had stored the point. Changes are sent one after another, in their order.

import { signal } from "@preact/signals";

import * as api from "../api/client";
import { fileName } from "../labels";
import { say, sayError } from "./toasts";

type Point = [number, number];

interface Change {
  readonly image: api.Image;
  // Null removes the focus.
  readonly point: Point | null;
  // What Undo goes back to.
  readonly before: Point | null;
}

// Whether a click on the picture sets its focus.
export const isFocusing = signal(false);

// What was just set.
export const chosen = signal<{ readonly id: string; readonly point: Point | null } | null>(null);

const WAIT_MILLISECONDS = 700;
// Arrows move the point step by step: one request for all of them.
let waiting: Change | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let sending: Promise<void> = Promise.resolve();
let unsent = 0;

export function setFocus(image: api.Image, { x, y }: { x: number; y: number }): void {
  if (waiting && waiting.image.id !== image.id) flush();
  const before = waiting ? waiting.before : (image.focal_point ?? null);
  clearTimeout(timer);
  waiting = { image, point: [within(x), within(y)], before };
  show(waiting);
  timer = setTimeout(flush, WAIT_MILLISECONDS);
}

export function removeFocus(image: api.Image): void {
  const before = waiting?.image.id === image.id ? waiting.before : (image.focal_point ?? null);
  replaceWaiting({ image, point: null, before });
}

// Whether a record that is asked for now has all that was chosen.
export const isSent = (): boolean => !waiting && !unsent;

// A record that was asked for when all was sent says where the focus is.
export const forget = (): void => void (chosen.value = null);

export const start = (): void => addEventListener("pagehide", flush);

// Sends what waits for more steps now.
function flush(): void {
  clearTimeout(timer);
  if (waiting) enqueue(waiting);
  waiting = null;
}

function replaceWaiting(change: Change): void {
  if (waiting?.image.id === change.image.id) waiting = null;
  flush();
  show(change);
  enqueue(change);
}

function show({ image: { id }, point }: Change): void {
  chosen.value = { id, point };
}

function enqueue(change: Change): void {
  unsent++;
  sending = sending.then(() => send(change)).finally(() => unsent--);
}

async function send({ image, point, before }: Change): Promise<void> {
  try {
    await (point ? api.putFocus(image.id, point) : api.deleteFocus(image.id));
  } catch (error) {
    if (chosen.peek()?.point === point) chosen.value = null;
    return sayError(error);
  }
  const undo = () => replaceWaiting({ image, point: before, before: point });
  say(`${fileName(image.original)} is rendered again with ${point ? "its new" : "no"} focus.`, { label: "Undo", run: undo });
}

const within = (fraction: number) => Math.round(Math.min(1, Math.max(0, fraction)) * 1000) / 1000;
