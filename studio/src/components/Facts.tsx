// What is known of an original.

import type { ComponentChildren } from "preact";

import type { Image } from "../api/client";
import { EXIF, FORMATS, STATES, bytes, counted, moment, part, percent, pixels } from "../labels";
import { copy } from "../state/copying";
import { Copy } from "./Copy";

type Row = [name: string, value: ComponentChildren];

export function Facts({ image }: { image: Image }) {
  return (
    <div class="facts">
      <List rows={main(image)} />
      <Section title="Camera" rows={camera(image)} isOpen />
      <Section title="History" rows={history(image)} isOpen />
      <Section title="Digests" rows={digests(image)} />
    </div>
  );
}

function List({ rows }: { rows: Row[] }) {
  return <dl>{rows.filter(([, value]) => value).map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}</dl>;
}

function Section({ title, rows, isOpen = false }: { title: string; rows: Row[]; isOpen?: boolean }) {
  if (!rows.some(([, value]) => value)) return null;
  return (
    <details open={isOpen}>
      <summary>{title}</summary>
      <List rows={rows} />
    </details>
  );
}

function main(image: Image): Row[] {
  const { facts: original, dominant_colour: colour, saving } = image;
  return [
    ["State", STATES[image.status]],
    ["Name", <Copied text={image.original} what="Name" />],
    ["Original", original && `${pixels(original)}, ${FORMATS[original.format] ?? original.format}, ${bytes(original.bytes)}`],
    ["Saving", typeof saving === "number" && saving > 0 && `${percent(saving)} in the largest rendition`],
    ["Frames", original && original.frames > 1 && original.frames],
    ["Transparency", original?.alpha && "yes"],
    ["Colour", colour && <Colour colour={colour} />],
    ["Palette", image.palette.length > 0 && <Palette colours={image.palette} />],
    ["Salient point", image.focus && place(image.focus)],
    ["Focus", image.focal_point && place(image.focal_point)],
    ["Truncated", image.truncated && "yes: the file ends early"],
  ];
}

const place = ([x, y]: readonly [number, number]) => `${part(x)} from the left, ${part(y)} from the top`;

const camera = ({ exif }: Image): Row[] => Object.entries(exif).map(([name, value]) => [EXIF[name] ?? name, value]);

function history(image: Image): Row[] {
  const [added, changed] = [image.created_at, image.updated_at].map((time) => time && moment(time));
  return [
    ["Added", added],
    ["Last rendered", changed],
    ["Processed", image.revision > 0 && counted(image.revision, "time", "times")],
    ["Version", image.version && <Code text={image.version} what="Version" isLong />],
  ];
}

function digests({ facts, perceptual_hash, blurhash, thumbhash, id }: Image): Row[] {
  return [
    ["SHA-256", facts && <Code text={facts.sha256} what="SHA-256" isLong />],
    ["Perceptual hash", perceptual_hash && <Code text={perceptual_hash} what="Perceptual hash" />],
    ["BlurHash", blurhash && <Code text={blurhash} what="BlurHash" />],
    ["ThumbHash", thumbhash && <Code text={thumbhash} what="ThumbHash" />],
    ["Id", <Code text={id} what="Id" />],
  ];
}

interface TextProps {
  text: string;
  what: string;
}

const Copied = ({ text, what }: TextProps) => (
  <>
    {text} <Copy text={text} what={what} />
  </>
);

const Code = ({ text, what, isLong = false }: TextProps & { isLong?: boolean }) => (
  <>
    <code title={text}>{isLong ? shortened(text) : text}</code> <Copy text={text} what={what} />
  </>
);

const shortened = (text: string) => (text.length > 20 ? `${text.slice(0, 16)}…` : text);

const Colour = ({ colour }: { colour: string }) => (
  <span class="colour">
    <span class="swatch" style={{ backgroundColor: colour }} />
    <Copied text={colour} what="Colour" />
  </span>
);

// Swatches only: as text they would take six lines. Each copies its colour.
const Palette = ({ colours }: { colours: string[] }) => (
  <span class="colour palette">
    {colours.map((colour) => (
      <button class="swatch" type="button" key={colour} title={`Copy ${colour}`} aria-label={`Copy ${colour}`} style={{ backgroundColor: colour }} onClick={() => void copy(colour, colour)} />
    ))}
  </span>
);
