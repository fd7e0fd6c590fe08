// Says what became of images: each one alone, many in one sentence.

import { counted, fileName, refusal } from "../labels";
import { say } from "./toasts";

const QUIET_MILLISECONDS = 2000;

interface Outcome {
  key: string;
  text: string;
  isReady: boolean;
}

let collected: Outcome[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;
let lastSaid = -Infinity;

export const sayReady = (key: string, renditions: number): void =>
  collect({ key, text: `${fileName(key)} is ready: ${counted(renditions, "rendition", "renditions")}.`, isReady: true });

export const sayRefused = (key: string, reason: string | null): void =>
  collect({ key, text: `${fileName(key)} was refused. ${refusal(reason)}`, isReady: false });

function collect(outcome: Outcome): void {
  collected.push(outcome);
  const wait = Math.max(0, lastSaid + QUIET_MILLISECONDS - performance.now());
  timer ??= setTimeout(sayCollected, wait);
}

function sayCollected(): void {
  const outcomes = collected;
  collected = [];
  timer = undefined;
  lastSaid = performance.now();
  if (outcomes.length === 1) return void say(outcomes[0]!.text);
  const ready = outcomes.filter(({ isReady }) => isReady).length;
  say(summary(ready, outcomes.length - ready, 0));
}

// "12 images are ready, 1 image was refused."
export function summary(ready: number, refused: number, failed: number): string {
  const parts = [
    [ready, "is ready", "are ready"],
    [refused, "was refused", "were refused"],
    [failed, "was not added", "were not added"],
  ] as const;
  const sentences = parts
    .filter(([count]) => count > 0)
    .map(([count, one, many]) => `${counted(count, "image", "images")} ${count === 1 ? one : many}`);
  return `${sentences.join(", ")}.`;
}
