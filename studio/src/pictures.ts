// Which renditions of an image show it best at a given size.

import { address, type CardImage, type Rendition } from "./api/client";

// A rendition that can be shown: on demand ones have no address.
export type Shown = Rendition & { url: string };

const isCropped = ({ transformation }: Rendition) => /(^|,)w=\d+,h=\d+/.test(transformation);
const isEasy = ({ format }: Rendition) => format !== "avif" && format !== "webp";
const rank = ({ width }: Rendition, wanted: number) => (width >= wanted ? 1e6 - width : width);

export const isTransparent = (image: CardImage): boolean => image.facts?.alpha ?? false;

// The smallest rendition of at least `width` pixels in each format, else the largest one; the fewest bytes
// first. Of a transparent image those that are transparent, and of it and of `whole` ones those that show all of it,
// if there are such: a logo is not cut.
export function candidates(image: CardImage, width: number, whole = false): Shown[] {
  let all = image.renditions.filter((rendition): rendition is Shown => rendition.url !== null);
  if (isTransparent(image)) all = preferred(all, ({ alpha }) => alpha);
  if (whole || isTransparent(image)) all = preferred(all, (rendition) => !isCropped(rendition));
  const best = new Map<string, Shown>();
  for (const rendition of all) {
    const other = best.get(rendition.media_type);
    if (!other || rank(rendition, width) > rank(other, width)) best.set(rendition.media_type, rendition);
  }
  return [...best.values()].sort((a, b) => a.bytes - b.bytes);
}

function preferred(renditions: Shown[], condition: (rendition: Shown) => boolean): Shown[] {
  const found = renditions.filter(condition);
  return found.length ? found : renditions;
}

// The sources of a <picture>; `plain` has a format that every browser reads, if there is one.
export function sources(found: Shown[]): { plain: Shown; others: Shown[] } | null {
  const plain = found.find(isEasy) ?? found.at(-1);
  if (!plain) return null;
  return { plain, others: found.filter((rendition) => rendition !== plain && rendition.bytes < plain.bytes) };
}

export const source = ({ url }: Shown): string => address(url);
