// The ZIP file that the page makes of many images: how far it is, and what is missing in it.

import { computed, signal } from "@preact/signals";

import type { Content, Watch } from "../api/archived";
import { bytes, counted } from "../labels";
import { type Place, choosePlace } from "../saving";
import { say, sayError } from "./toasts";

export const NAME = "images.zip";
const MAX_NAMED = 3;

export interface Failure {
  readonly name: string;
  readonly why: string;
}

export interface Progress {
  // 0 until the files are known.
  readonly total: number;
  readonly done: number;
  readonly bytes: number;
  readonly failures: readonly Failure[];
  readonly isOver: boolean;
}

const BEGUN: Progress = { total: 0, done: 0, bytes: 0, failures: [], isOver: false };

export const progress = signal<Progress | null>(null);
export const isMaking = computed(() => progress.value !== null && !progress.value.isOver);

let stopping = new AbortController();

export const cancel = (): void => stopping.abort();
export const dismiss = (): void => void (progress.value = null);

export async function make(ids: readonly string[], content: Content): Promise<void> {
  if (isMaking.peek()) return;
  const place = await choosePlace(NAME).catch(sayError);
  if (!place) return;
  stopping = new AbortController();
  progress.value = BEGUN;
  try {
    await fill(place, ids, content, stopping.signal);
    sayWhatIsInIt();
  } catch (error) {
    progress.value = null;
    say(stopping.signal.aborted ? `You stopped ${NAME}. Nothing of it is saved.` : (error as Error).message);
  }
}

async function fill(place: Place, ids: readonly string[], content: Content, stop: AbortSignal): Promise<void> {
  const { filesOf, zipped } = await import("../api/archived");
  const files = await filesOf(ids, content, stop);
  if (!files.length) throw new Error(content === "renditions" ? "These images have no renditions to download." : "These images do not exist any more.");
  const size = files.reduce((sum, file) => sum + file.bytes, 0);
  checkRoom(place, size);
  change({ total: files.length });
  await place.save(zipped(files, watchOf(place), stop), stop);
}

// Sizes that no record knows are known when the files are read.
function watchOf(place: Place): Watch {
  return {
    onRead: (size) => {
      const { done, bytes: before } = progress.peek()!;
      checkRoom(place, before + size);
      change({ done: done + 1, bytes: before + size });
    },
    onFailure: (name, why) => {
      const { done, failures } = progress.peek()!;
      change({ done: done + 1, failures: [...failures, { name, why }] });
    },
  };
}

function checkRoom({ limit }: Place, size: number): void {
  if (size <= limit) return;
  throw new Error(`This browser can save an archive of ${bytes(limit)}, and these files have ${bytes(size)} or more. Select fewer images, or use Chrome or Edge.`);
}

const change = (some: Partial<Progress>): void => void (progress.value = { ...progress.peek()!, ...some });

// What is missing stays on the page until it is dismissed.
function sayWhatIsInIt(): void {
  const { total, failures } = progress.peek()!;
  if (!failures.length) {
    progress.value = null;
    return void say(`${NAME} has ${counted(total, "file", "files")}.`);
  }
  change({ isOver: true });
  say(`${missing(failures.length, total)}: ${failures.slice(0, MAX_NAMED).map(({ name }) => name).join(", ")}${failures.length > MAX_NAMED ? " and others" : ""}.`);
}

// "3 of 40 files could not be read"
export const missing = (count: number, total: number): string => `${count.toLocaleString("en")} of ${counted(total, "file", "files")} could not be read`;
