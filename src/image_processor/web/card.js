// One card of the grid: an image, its name and its state.

import { picture } from "./picture.js";
import { element } from "./elements.js";
import { STATES, bytes, counted, fileName, percent, pixels, refusal, saving } from "./labels.js";

const CARD_PIXELS = 280 * Math.min(window.devicePixelRatio || 1, 2);

// The list item of a card. `show` fills it, again whenever its image changes.
export function newCard() {
  return element("li", { class: "card" });
}

export function show(card, image) {
  const shown = JSON.stringify({ ...image, progress: null });
  if (card.dataset.shown === shown) return showProgress(card, image);
  card.dataset.shown = shown;
  card.dataset.key = image.original;
  card.dataset.status = image.status;
  const [before] = card.children;
  const content = image.id ? link(image, before) : element("div", { class: "open" }, ...inside(image));
  if (content !== before) card.replaceChildren(content);
  showProgress(card, image);
}

// An existing link is kept: it may have the focus, or get it back from a dialog.
function link(image, before) {
  const href = `#${image.id}`;
  const anchor = before?.getAttribute("href") === href ? before : element("a", { class: "open", href });
  anchor.setAttribute("aria-label", `${image.original}, ${STATES[image.status]}`);
  anchor.replaceChildren(...inside(image));
  return anchor;
}

function inside(image) {
  const busy = ["uploading", "queued", "processing"].includes(image.status);
  const bar = image.status === "uploading" ? element("progress", { max: 1, value: 0, "aria-label": "sent" }) : null;
  return [
    element("div", { class: "face" }, face(image), busy ? element("span", { class: "work" }, bar) : null),
    element(
      "span",
      { class: "title" },
      element("span", { class: "name", title: image.original }, fileName(image.original)),
      image.status === "processed" ? best(image) : null,
    ),
    element("span", { class: "about" }, about(image)),
  ];
}

function face(image) {
  if (["refused", "failed", "skipped"].includes(image.status)) {
    return element("span", { class: "sign", "aria-hidden": "true" }, image.status === "skipped" ? "–" : "!");
  }
  return picture(image, CARD_PIXELS);
}

function about(image) {
  switch (image.status) {
    case "processed":
      return `${pixels(image.facts)} · ${counted(image.renditions.length, "rendition", "renditions")}`;
    case "refused":
      return refusal(image.reason);
    case "failed":
    case "skipped":
      return image.message;
    case "uploading":
      return `Uploading ${bytes(image.size)}`;
    default:
      return image.note ?? STATES[image.status];
  }
}

// How much smaller than the original its largest rendition is, in the smallest format.
function best({ facts, renditions }) {
  const size = Math.max(...renditions.map(area));
  const least = Math.min(...renditions.filter((each) => area(each) === size).map(({ bytes: count }) => count));
  if (!renditions.length || least >= facts.bytes) return null;
  const title = `The largest rendition has ${bytes(least)}, the original ${bytes(facts.bytes)}`;
  return element("span", { class: "best", title }, percent(saving({ bytes: least }, facts)));
}

const area = ({ width, height }) => width * height;

function showProgress(card, image) {
  const bar = card.querySelector("progress");
  if (bar) bar.value = image.progress ?? 0;
}
