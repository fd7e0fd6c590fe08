// One card of the grid: an image, its name and its state.

import type { Signal } from "@preact/signals";
import { memo } from "preact/compat";
import { useEffect, useRef } from "preact/hooks";

import type { CardImage } from "../api/client";
import { STATES, bytes, counted, fileName, percent, pixels } from "../labels";
import { hasFailed, isStale, isWorking, type Item } from "../state/item";
import { read } from "../state/library";
import { open } from "../state/location";
import * as selection from "../state/selection";
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
      class={selection.isSelected(item.key) ? "card selected" : "card"}
      data-key={item.key}
      data-status={item.state}
      data-index={index}
      aria-posinset={index + 1}
      aria-setsize={total}
      style={{ width: `${width}px`, transform: `translate(${x}px, ${y}px)` }}
    >
      <Choice item={item} isActive={isActive} />
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

function Choice({ item: { key, id }, isActive }: { item: Item; isActive: boolean }) {
  const isRange = useRef(false); // a change does not say which keys are held
  if (!id) return null;
  return (
    <label class="choice">
      <input
        type="checkbox"
        aria-label={`Choose ${fileName(key)}`}
        tabIndex={isActive ? 0 : -1}
        checked={selection.isSelected(key)}
        onClick={(event) => (isRange.current = event.shiftKey)}
        onChange={() => (isRange.current ? selection.extendTo : selection.toggle)(key)}
      />
    </label>
  );
}

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
    event.preventDefault();
    if (event.shiftKey) selection.extendTo(item.key);
    else if (event.ctrlKey || event.metaKey || selection.selected.peek().length) selection.toggle(item.key);
    else open(id);
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

// How much smaller than the original its largest rendition is, in its smallest format.
function Saving({ image }: { image: CardImage }) {
  const { saving, facts } = image;
  if (!saving || saving < 0 || !facts) return null;
  const title = `The largest rendition has ${bytes(Math.round(facts.bytes * (1 - saving)))}, the original ${bytes(facts.bytes)}`;
  return (
    <span class="best" title={title}>
      {percent(saving)}
    </span>
  );
}

function about({ state, image, note, file }: Item): string {
  switch (state) {
    case "processed":
      if (!image?.facts) return STATES[state];
      return `${pixels(image.facts)} · ${counted(image.renditions.length, "rendition", "renditions")}`;
    case "refused":
    case "failed":
    case "delayed":
      return image?.facts ? `${pixels(image.facts)} · ${bytes(image.facts.bytes)}` : STATES[state];
    case "uploading":
      return `Uploading ${bytes(file?.size ?? 0)}`;
    default:
      return note ?? STATES[state];
  }
}
