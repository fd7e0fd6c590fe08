// An image with its placeholder: the ThumbHash, else the dominant colour, shows until the rendition is
// loaded, and stays if loading fails.

import { draw } from "./thumbhash.js";
import { element } from "./elements.js";
import { fileName } from "./labels.js";

// The smallest rendition of at least `width` pixels in each format, else the largest one.
function candidates(renditions, width, whole) {
  const best = new Map();
  for (const rendition of renditions) {
    if (whole && isCropped(rendition)) continue;
    const other = best.get(rendition.media_type);
    if (!other || rank(rendition, width) > rank(other, width)) best.set(rendition.media_type, rendition);
  }
  return [...best.values()].sort((a, b) => a.bytes - b.bytes);
}

const rank = (rendition, width) => (rendition.width >= width ? 1e6 - rendition.width : rendition.width);

const isCropped = ({ transformation }) => /(^|,)w=\d+,h=\d+/.test(transformation);

// A frame that fills its container. `width` is in pixels of the screen.
export function picture(image, width, { whole = false } = {}) {
  const frame = element("div", { class: "picture" });
  if (image.dominant_colour) frame.style.backgroundColor = image.dominant_colour;
  if (image.thumbhash) {
    const canvas = element("canvas", { "aria-hidden": "true" });
    if (draw(canvas, image.thumbhash)) frame.append(canvas);
  }
  let found = candidates(image.renditions, width, whole);
  if (!found.length) found = candidates(image.renditions, width, false);
  if (found.length) frame.append(sources(frame, found, fileName(image.original)));
  return frame;
}

function sources(frame, renditions, alt) {
  // The <img> of a <picture> must have a format that every browser reads.
  const plain = renditions.find(({ format }) => format !== "avif" && format !== "webp") ?? renditions.at(-1);
  const img = element("img", { alt, decoding: "async", src: plain.url, width: plain.width, height: plain.height });
  img.addEventListener("load", () => frame.classList.add("loaded"));
  img.addEventListener("error", () => made.remove());
  const others = renditions.filter((rendition) => rendition !== plain && rendition.bytes < plain.bytes);
  const made = element("picture", {}, ...others.map(source), img);
  return made;
}

const source = (rendition) => element("source", { srcset: rendition.url, type: rendition.media_type });
