// A point of the original that crops keep: by a click on the picture, or by the arrow keys.

import type { Image } from "../api/client";
import { candidates, source } from "../pictures";

const STEP = 0.02;

interface Props {
  image: Image;
  // "x:y", shares of the sides; empty if none is set.
  value: string;
  onChange(value: string): void;
}

export function FocalPoint({ image, value, onChange }: Props) {
  const shown = candidates(image, 640, true)[0];
  const [x = 0.5, y = 0.5] = value ? value.split(":").map(Number) : (image.focus ?? []);
  const set = (left: number, top: number) => onChange(`${share(left)}:${share(top)}`);
  const onClick = (event: MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    // Keys click in the upper left corner of the page.
    if (event.detail) set((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    set(x + by[0]!, y + by[1]!);
  };
  if (!shown) return null;
  return (
    <button class={value ? "focal set" : "focal"} type="button" aria-label={`Focal point: ${value || "not set"}. Click the picture, or use the arrow keys`} onClick={onClick} onKeyDown={onKeyDown}>
      <img src={source(shown)} alt="" />
      <span class="cross" style={{ left: `${100 * x}%`, top: `${100 * y}%` }} />
    </button>
  );
}

const share = (part: number): number => Math.round(Math.min(1, Math.max(0, part)) * 1000) / 1000;
