// The picture of the image page: zoomed into the original, with its focus, which a click sets.

import { useEffect, useRef, useState } from "preact/hooks";

import { isOnAws } from "../api/aws";
import * as api from "../api/client";
import { fileName, part, refusal } from "../labels";
import { mayWrite } from "../state/access";
import { isFocusing, setFocus } from "../state/focus";
import { Crops } from "./Crops";
import { Picture } from "./Picture";
import { useZoom } from "./zoom";

const PREVIEW_PIXELS = 960 * Math.min(devicePixelRatio || 1, 2);
// What every browser that the page supports shows.
const SHOWN_FORMATS = new Set(["jpeg", "png", "webp", "avif", "gif"]);
const MAX_SHOWN_BYTES = 40_000_000;
const KEY_STEP = 0.01;

export function Stage({ image }: { image: api.Image }) {
  if (image.status === "refused") {
    return (
      <div class="stage refused">
        <p class="reason">{refusal(image.reason)}</p>
        <p>{image.fix}</p>
        <p class="exact">{image.message}</p>
      </div>
    );
  }
  return <Viewer image={image} />;
}

function Viewer({ image }: { image: api.Image }) {
  const canvas = useRef<HTMLDivElement>(null);
  const { facts } = image;
  const natural = () => (facts ? facts.width / Math.max(1, canvas.current?.offsetWidth ?? 1) : 1);
  const zoom = useZoom(canvas, natural, (point) => isFocusing.peek() && setFocus(image, point));
  const { scale, x, y } = zoom.view;
  useEffect(() => () => void (isFocusing.value = false), []);
  const style: Record<string, string> = { transform: `translate(${x}px, ${y}px) scale(${scale})` };
  if (facts) {
    const ratio = facts.width / facts.height;
    style.aspectRatio = `${ratio}`;
    style.width = `min(100%, ${Math.max(240, facts.width)}px, calc(var(--stage) * ${ratio}))`;
  }
  const isFocus = isFocusing.value;
  const level = scale <= 1 ? "Fit" : part(scale / Math.max(natural(), 0.01));
  return (
    <div class="viewer">
      <div class={`stage ${isFocus ? "focusing" : ""} ${scale > 1 ? "zoomed" : ""}`}>
        <div class="sheet-of-image" ref={canvas} style={style} {...zoom.handlers}>
          <Picture image={image} alt={fileName(image.original)} width={PREVIEW_PIXELS} whole />
          {scale > 1 && <Original image={image} />}
          <Marker image={image} scale={scale} />
        </div>
        <div class="zooms">
          <button class="zoom" type="button" aria-label="Zoom out" disabled={scale <= 1} onClick={() => zoom.zoomBy(1 / zoom.step)}>
            −
          </button>
          <button class="zoom level" type="button" aria-label={`${level}, show the whole image`} disabled={scale <= 1} onClick={() => zoom.zoomTo(1)}>
            {level}
          </button>
          <button class="zoom" type="button" aria-label="Zoom in" onClick={() => zoom.zoomBy(zoom.step)}>
            +
          </button>
        </div>
      </div>
      {isFocus && <Crops image={image} />}
    </div>
  );
}

// The original itself, once somebody looks closer than its renditions.
function Original({ image }: { image: api.Image }) {
  const [isLoaded, setLoaded] = useState(false);
  const { facts } = image;
  if (isOnAws || !facts || !SHOWN_FORMATS.has(facts.format) || facts.bytes > MAX_SHOWN_BYTES) return null;
  return (
    <img
      class={isLoaded ? "original loaded" : "original"}
      alt=""
      decoding="async"
      draggable={false}
      src={api.originalUrl(image.id)}
      onLoad={() => setLoaded(true)}
    />
  );
}

// Where the focus is: one that a person has set, else the most salient point. Arrows move it while it is set.
function Marker({ image, scale }: { image: api.Image; scale: number }) {
  const point = image.focal_point ?? image.focus;
  if (!point) return null;
  const [x, y] = point;
  const place = { left: `${x * 100}%`, top: `${y * 100}%`, transform: `translate(-50%, -50%) scale(${1 / scale})` };
  const label = `Focus: ${part(x)} from the left, ${part(y)} from the top`;
  if (!isFocusing.value || !mayWrite.value) {
    return <span class={image.focal_point ? "marker chosen" : "marker"} style={place} title={label} aria-hidden="true" />;
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const moves: Record<string, readonly [number, number]> = {
      ArrowLeft: [-KEY_STEP, 0],
      ArrowRight: [KEY_STEP, 0],
      ArrowUp: [0, -KEY_STEP],
      ArrowDown: [0, KEY_STEP],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    setFocus(image, { x: x + move[0], y: y + move[1] });
  };
  return (
    <button class="marker chosen" type="button" style={place} aria-label={`${label}. Arrows move it`} onKeyDown={onKeyDown} />
  );
}
