// What is known of an original.

import type { ComponentChildren } from "preact";

import type { Image } from "../api/client";
import { EXIF, FORMATS, STATES, bytes, moment, part, pixels } from "../labels";

type Row = [name: string, value: ComponentChildren];

export function Facts({ image }: { image: Image }) {
  const rows = rowsOf(image).filter(([, value]) => value);
  return (
    <dl class="facts">
      {rows.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name}=`}>{value}</dd>])}
    </dl>
  );
}

function rowsOf(image: Image): Row[] {
  const { facts: original, dominant_colour: colour, focus } = image;
  const [added, changed] = [image.created_at, image.updated_at].map((time) => time && moment(time));
  return [
    ["State", STATES[image.status]],
    ["Name", image.original],
    ["Original", original && `${pixels(original)}, ${FORMATS[original.format] ?? original.format}, ${bytes(original.bytes)}`],
    ["Frames", original && original.frames > 1 && original.frames],
    ["Transparency", original?.alpha && "yes"],
    ["Colour", colour && <Colour colour={colour} />],
    ["Palette", image.palette.length > 0 && <Palette colours={image.palette} />],
    ["Focus", focus && `${part(focus[0])} from the left, ${part(focus[1])} from the top`],
    ...Object.entries(image.exif).map(([name, value]): Row => [EXIF[name] ?? name, value]),
    ["Added", added],
    ["Changed", changed !== added && changed],
    ["SHA-256", original && <code title={original.sha256}>{original.sha256.slice(0, 16)}…</code>],
    ["Perceptual hash", image.perceptual_hash && <code>{image.perceptual_hash}</code>],
    ["BlurHash", image.blurhash && <code>{image.blurhash}</code>],
    ["Id", <code>{image.id}</code>],
  ];
}

const Colour = ({ colour }: { colour: string }) => (
  <span class="colour">
    <span class="swatch" style={{ backgroundColor: colour }} />
    {colour}
  </span>
);

// Swatches only: as text they would take six lines. The title of each is its colour.
const Palette = ({ colours }: { colours: string[] }) => (
  <span class="colour palette">
    {colours.map((colour) => (
      <span class="swatch" key={colour} title={colour} role="img" aria-label={colour} style={{ backgroundColor: colour }} />
    ))}
  </span>
);
