// Texts and images that are drawn on top.

import { useEffect, useState } from "preact/hooks";

import type { CardImage } from "../api/client";
import * as api from "../api/trial";
import { fileName } from "../labels";
import { type Overlay, readOverlay, writeOverlay } from "../state/overlays";
import { sayError } from "../state/toasts";
import { GravityPad } from "./GravityPad";
import { Picture } from "./Picture";

interface Props {
  // One overlay a line.
  value: string;
  // The prefix of the keys of images for overlays; null if there may be none.
  prefix: string | null;
  onChange(value: string): void;
}

export function Overlays({ value, prefix, onChange }: Props) {
  const texts = value ? value.split("\n") : [];
  const replace = (at: number, text: string | null) => onChange(texts.toSpliced(at, 1, ...(text === null ? [] : [text])).join("\n"));
  const add = (overlay: Overlay) => onChange([...texts, writeOverlay(overlay)].join("\n"));
  return (
    <div class="overlays">
      {texts.map((text, index) => (
        <Entry key={index} index={index} overlay={readOverlay(text)} onChange={(overlay) => replace(index, overlay && writeOverlay(overlay))} />
      ))}
      <p class="actions">
        <button class="button small" type="button" onClick={() => add({ kind: "text", content: "Hello", options: { size: "0.1", colour: "ffffff", g: "southeast", x: "20", y: "20" } })}>
          Add a text
        </button>
      </p>
      <Picker prefix={prefix} onPick={(key) => add({ kind: "image", content: key, options: { w: "0.25", g: "southeast", x: "20", y: "20" } })} />
    </div>
  );
}

function Picker({ prefix, onPick }: { prefix: string | null; onPick(key: string): void }) {
  const [images, setImages] = useState<CardImage[] | null>(null);
  useEffect(() => {
    if (prefix) api.withPrefix(prefix).then(setImages, sayError);
  }, [prefix]);
  if (!prefix) return <p class="note">Image overlays are off: the server has no IMAGE_PROCESSOR_OVERLAYS.</p>;
  if (!images) return null;
  if (!images.length) return <p class="note">Upload images to {prefix} to draw them on top.</p>;
  return (
    <ul class="picker" aria-label="Images to draw on top">
      {images.map((image) => (
        <li key={image.id}>
          <button type="button" aria-label={`Draw ${image.original}`} title={image.original} onClick={() => onPick(image.original)}>
            <Picture image={image} alt="" width={96} whole />
            <span>{fileName(image.original)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

interface EntryProps {
  index: number;
  overlay: Overlay;
  onChange(overlay: Overlay | null): void;
}

function Entry({ index, overlay, onChange }: EntryProps) {
  const { kind, content, options } = overlay;
  const set = (name: string, value: string) => onChange({ ...overlay, options: { ...options, [name]: value } });
  const slider = (name: string, label: string, max: number, step: number, initial: string) => (
    <label class="slider">
      <span>{label}</span>
      <input type="range" min={step} max={max} step={step} value={options[name] ?? initial} onInput={(event) => set(name, event.currentTarget.value)} />
    </label>
  );
  const title = kind === "text" ? "Text" : fileName(content);
  return (
    <fieldset class="overlay">
      <legend>{title}</legend>
      {kind === "text" && <input type="text" aria-label="The text" value={content} onInput={(event) => onChange({ ...overlay, content: event.currentTarget.value })} />}
      <div class="two">
        <GravityPad name={`overlay-${index}`} value={options["g"] ?? "centre"} isSmart={false} onChange={(place) => set("g", place)} />
        <div class="sliders">
          {kind === "text" ? slider("size", "Size", 0.5, 0.01, "0.1") : slider("w", "Width", 1, 0.01, "0.25")}
          {slider("o", "Opacity", 100, 1, "100")}
          {kind === "text" && (
            <label class="slider">
              <span>Colour</span>
              <input type="color" value={`#${(options["colour"] ?? "000000").slice(0, 6)}`} onInput={(event) => set("colour", event.currentTarget.value.slice(1))} />
            </label>
          )}
        </div>
      </div>
      <button class="link" type="button" aria-label={`Remove ${title}`} onClick={() => onChange(null)}>
        Remove
      </button>
    </fieldset>
  );
}
