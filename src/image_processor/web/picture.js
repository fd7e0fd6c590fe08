// One picture with its placeholder: the ThumbHash, else the dominant colour, shows until the
// rendition is there, and stays if it cannot be loaded. No broken image is ever seen.

import { draw } from "./thumbhash.js";
import { element } from "./elements.js";
import { fileName } from "./words.js";

// The smallest rendition of at least `width` pixels in each format, else the largest there is.
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

// A frame that fills its box. `width` is what it needs in pixels of the screen.
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
  // The last resort of <picture> must be what every browser reads.
  const plain = renditions.find(({ format }) => format !== "avif" && format !== "webp") ?? renditions.at(-1);
  const img = element("img", { alt, decoding: "async", src: plain.url, width: plain.width, height: plain.height });
  img.addEventListener("load", () => frame.classList.add("loaded"));
  img.addEventListener("error", () => made.remove());
  const others = renditions.filter((rendition) => rendition !== plain && rendition.bytes < plain.bytes);
  const made = element("picture", {}, ...others.map(source), img);
  return made;
}

const source = (rendition) => element("source", { srcset: rendition.url, type: rendition.media_type });
