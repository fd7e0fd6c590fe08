// The renditions of an image as a table, from small to large.

import { address, type Image, type Metadata, type Rendition } from "../api/client";
import { FORMATS, bytes, counted, percent, pixels, saving, transformationLabel } from "../labels";
import { Copy } from "./Copy";

const HEADS = ["Size", "Format", "Bytes", "Compared to the original", "Quality", "Transformation"];

export function Renditions({ image }: { image: Image }) {
  return (
    <section class="renditions">
      <h3>{counted(image.renditions.length, "rendition", "renditions")}</h3>
      <table>
        <thead>
          <tr>
            {HEADS.map((head) => (
              <th key={head} scope="col" class={head === "Bytes" ? "number" : ""}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{rows(image)}</tbody>
      </table>
    </section>
  );
}

// Renditions with the same bytes share a row group.
function rows({ renditions, facts: original }: Image) {
  if (!original) return null;
  const ordered = [...renditions].sort(
    (a, b) => a.width * a.height - b.width * b.height || compare(a.format, b.format) || compare(a.sha256, b.sha256),
  );
  return ordered.map((rendition, at) => {
    const isSame = rendition.sha256 === ordered[at - 1]?.sha256;
    return <Row key={rendition.key} rendition={rendition} original={original} same={isSame ? sameness(rendition, original) : null} />;
  });
}

const compare = (one: string, other: string) => (one < other ? -1 : Number(one > other));

const sameness = (rendition: Rendition, original: Metadata) =>
  rendition.width === original.width || rendition.height === original.height
    ? "same image: the original is no larger"
    : "same image";

// What the transformation asks for; without it the format has a default.
const qualityOf = (transformation: string) => /(?:^|,)q=([^,]+)/.exec(transformation)?.[1];

// What is made on demand has no address to open.
function Size({ rendition, format }: { rendition: Rendition; format: string }) {
  const { url, width, height } = rendition;
  const size = pixels(rendition);
  if (!url) return <>{size}</>;
  return (
    <div class="sized">
      <a class="made-picture" href={address(url)} target="_blank" rel="noopener">
        <img alt="" loading="lazy" decoding="async" src={address(url)} width={width} height={height} />
        <span>{size}</span>
      </a>
      <Copy text={new URL(address(url), location.href).href} what={`URL of ${size}, ${format}`} />
    </div>
  );
}

interface RowProps {
  rendition: Rendition;
  original: Metadata;
  same: string | null;
}

function Row({ rendition, original, same }: RowProps) {
  const share = saving(rendition, original);
  const format = FORMATS[rendition.format] ?? rendition.format;
  return (
    <tr class={same ? "same" : ""}>
      <td>
        <Size rendition={rendition} format={format} />
      </td>
      <td>{format}</td>
      <td class="number">{bytes(rendition.bytes)}</td>
      <td class="saved">
        <span class="bar" aria-hidden="true">
          <i style={{ width: `${Math.min(1 - share, 1) * 100}%` }} />
        </span>
        {percent(share)}
      </td>
      <td class="quality">{qualityOf(rendition.transformation) ?? "default"}</td>
      <td class="made">
        {transformationLabel(rendition.transformation)}
        {same && <em>{same}</em>}
      </td>
    </tr>
  );
}
