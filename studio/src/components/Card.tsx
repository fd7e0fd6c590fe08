// One card of the grid: an image, its name and its state.

import type { Signal } from "@preact/signals";
import { memo } from "preact/compat";
import { useEffect } from "preact/hooks";

import type { CardImage } from "../api/client";
import { STATES, bytes, counted, fileName, percent, pixels, saving } from "../labels";
import { leastBytes } from "../pictures";
import { hasFailed, isStale, isWorking, type Item } from "../state/item";
import { read } from "../state/library";
import { open } from "../state/location";
import { Picture } from "./Picture";
import { Remedy } from "./Remedy";

interface Props {
  item: Signal<Item>;
  index: number;
  total: number;
  x: number;
  y: number;
  width: number;
  isActive: boolean;
}

export const Card = memo(function Card({ item: signal, index, total, x, y, width, isActive }: Props) {
  const item = signal.value;
  useEffect(() => {
    if (isStale(item) && item.id) read(item.id);
  }, [item.changes, item.id]);
  return (
    <li
      class="card"
      data-key={item.key}
      data-status={item.state}
      data-index={index}
      aria-posinset={index + 1}
      aria-setsize={total}
      style={{ width: `${width}px`, transform: `translate(${x}px, ${y}px)` }}
    >
      <Link item={item} isActive={isActive}>
        <div class="face">
          <Face item={item} width={width} />
          {isWorking(item) && <Work item={item} />}
        </div>
        <span class="title">
          <span class="name" title={item.key}>
            {fileName(item.key)}
          </span>
          {item.state === "processed" && item.image && <Saving image={item.image} />}
        </span>
        <span class="about">{about(item)}</span>
        <span class="unseen">{STATES[item.state]}</span>
      </Link>
      {hasFailed(item) && <Remedy item={item} />}
    </li>
  );
});

function Link({ item, isActive, children }: { item: Item; isActive: boolean; children: preact.ComponentChildren }) {
  const tabIndex = isActive ? 0 : -1;
  if (!item.id) {
    return (
      <div class="open" tabIndex={tabIndex}>
        {children}
      </div>
    );
  }
  const id = item.id;
  const onClick = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(id);
  };
  return (
    <a class="open" href={`#${id}`} tabIndex={tabIndex} onClick={onClick}>
      {children}
    </a>
  );
}

function Face({ item, width }: { item: Item; width: number }) {
  if (hasFailed(item)) return null;
  if (item.state === "skipped") {
    return (
      <span class="sign" aria-hidden="true">
        –
      </span>
    );
  }
  return item.image ? <Picture image={item.image} alt="" width={width * Math.min(devicePixelRatio || 1, 2)} /> : null;
}

const Work = ({ item: { progress } }: { item: Item }) => (
  <span class="work">{progress !== undefined && <progress max={1} value={progress} aria-label="sent" />}</span>
);

// How much smaller than the original its largest rendition is, in the smallest format.
function Saving({ image }: { image: CardImage }) {
  const least = leastBytes(image);
  if (least === null || !image.facts || least >= image.facts.bytes) return null;
  const title = `The largest rendition has ${bytes(least)}, the original ${bytes(image.facts.bytes)}`;
  return (
    <span class="best" title={title}>
      {percent(saving({ bytes: least }, image.facts))}
    </span>
  );
}

function about({ state, image, note, size }: Item): string {
  switch (state) {
    case "processed":
      if (!image?.facts) return STATES[state];
      return `${pixels(image.facts)} · ${counted(image.renditions.length, "rendition", "renditions")}`;
    case "refused":
    case "failed":
    case "delayed":
      return image?.facts ? `${pixels(image.facts)} · ${bytes(image.facts.bytes)}` : STATES[state];
    case "uploading":
      return `Uploading ${bytes(size ?? 0)}`;
    default:
      return note ?? STATES[state];
  }
}
