// Sets the focus of the image that is open.

import { signal } from "@preact/signals";

import * as api from "../api/client";
import { fileName } from "../labels";
import { say, sayError } from "./toasts";

type Point = [number, number];

// Whether a click on the picture sets its focus.
export const isFocusing = signal(false);

// What was just set, until the page has read the record again.
export const chosen = signal<{ id: string; point: Point | null } | null>(null);

const SAY_MILLISECONDS = 700;
let timer: ReturnType<typeof setTimeout> | undefined;

export function setFocus(image: api.Image, { x, y }: { x: number; y: number }): void {
  const point: Point = [within(x), within(y)];
  const before = image.focal_point ?? null;
  chosen.value = { id: image.id, point };
  // Arrows move it step by step: one request for all.
  clearTimeout(timer);
  timer = setTimeout(() => void send(image, point, before), SAY_MILLISECONDS);
}

export function removeFocus(image: api.Image): void {
  chosen.value = { id: image.id, point: null };
  void send(image, null, image.focal_point ?? null);
}

async function send(image: api.Image, point: Point | null, before: Point | null): Promise<void> {
  try {
    await (point ? api.putFocus(image.id, point) : api.deleteFocus(image.id));
    const undo = () => {
      chosen.value = { id: image.id, point: before };
      void send(image, before, point);
    };
    say(`${fileName(image.original)} is rendered again with ${point ? "its new" : "no"} focus.`, { label: "Undo", run: undo });
  } catch (error) {
    chosen.value = null;
    sayError(error);
  }
}

const within = (fraction: number) => Math.round(Math.min(1, Math.max(0, fraction)) * 1000) / 1000;
