// The details of one image: the original, every rendition, and the actions.

import * as api from "./api.js";
import { picture } from "./picture.js";
import { byId, element, say } from "./elements.js";
import { EXIF, FORMATS, STATES, bytes, counted, fileName, moment, part, percent, pixels, transformationLabel, refusal, saving } from "./labels.js";

const PREVIEW_PIXELS = 640 * Math.min(window.devicePixelRatio || 1, 2);

export class Details {
  #dialog = byId("details");
  #id = null;

  constructor(library) {
    this.library = library;
    addEventListener("hashchange", () => this.follow());
    // Opening a card again before the dialog has cleared the address does not change the address.
    byId("grid").addEventListener("click", (event) => event.target.closest("a") && setTimeout(() => this.follow()));
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.open) return;
      this.#id = null;
      if (location.hash) history.replaceState(null, "", location.pathname);
    });
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  // Opens the image that the address names, or closes the dialog.
  async follow() {
    const id = location.hash.slice(1);
    if (!id) return this.#dialog.close();
    try {
      this.#show(this.library.find(id) ?? (await api.image(id)));
    } catch (error) {
      say(error.message);
      history.replaceState(null, "", location.pathname);
    }
  }

  // Shows changes of the open image.
  refresh() {
    const image = this.#id && this.library.find(this.#id);
    if (image) this.#show(image);
  }

  close(id) {
    if (this.#id === id) this.#dialog.close();
  }

  #show(image) {
    const shown = JSON.stringify(image);
    if (this.#id === image.id && this.#dialog.dataset.shown === shown) return;
    this.#id = image.id;
    this.#dialog.dataset.shown = shown;
    this.#dialog.replaceChildren(...this.#content(image));
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #content(image) {
    return [
      element(
        "header",
        { class: "bar" },
        element("h2", { id: "details-name", title: image.original }, fileName(image.original)),
        element("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => this.#dialog.close() }, "×"),
      ),
      element("div", { class: "columns" }, stage(image), this.#side(image)),
      image.renditions.length ? renditions(image) : null,
    ].filter(Boolean);
  }

  #side(image) {
    return element(
      "div",
      { class: "side" },
      facts(image),
      element(
        "p",
        { class: "actions" },
        element("button", { class: "button", type: "button", id: "reprocess", onclick: () => this.#reprocess(image) }, "Render again"),
        element("button", { class: "button danger", type: "button", id: "delete", onclick: () => this.#delete(image) }, "Delete"),
      ),
    );
  }

  async #reprocess(image) {
    say(`${fileName(image.original)} is rendered again.`);
    try {
      await api.reprocess(image.id);
    } catch (error) {
      say(error.message);
    }
  }

  async #delete(image) {
    const what = image.renditions.length
      ? `Delete ${fileName(image.original)} and its ${counted(image.renditions.length, "rendition", "renditions")}?`
      : `Delete ${fileName(image.original)}?`;
    if (!(await confirmed(what))) return;
    try {
      await api.remove(image.id);
      this.#dialog.close();
      this.library.remove(image.original);
      say(`${fileName(image.original)} is deleted.`);
    } catch (error) {
      say(error.message);
    }
  }
}

function confirmed(what) {
  const question = byId("question");
  byId("question-text").textContent = what;
  question.returnValue = "no";
  question.showModal();
  return new Promise((resolve) => {
    question.addEventListener("close", () => resolve(question.returnValue === "yes"), { once: true });
  });
}

function stage(image) {
  if (image.status === "refused") {
    return element(
      "div",
      { class: "stage refused" },
      element("p", { class: "reason" }, refusal(image.reason)),
      element("p", {}, image.fix),
      element("p", { class: "exact" }, image.message),
    );
  }
  const frame = picture(image, PREVIEW_PIXELS, { whole: true });
  if (image.facts) frame.style.aspectRatio = `${image.facts.width} / ${image.facts.height}`;
  return element("div", { class: "stage" }, frame);
}

function facts(image) {
  const original = image.facts;
  const colour = image.dominant_colour;
  const [added, changed] = [image.created_at, image.updated_at].map((time) => time && moment(time));
  const swatch = element("span", { class: "swatch" });
  if (colour) swatch.style.backgroundColor = colour;
  const rows = [
    ["State", STATES[image.status]],
    ["Name", image.original],
    ["Original", original && `${pixels(original)}, ${FORMATS[original.format]}, ${bytes(original.bytes)}`],
    ["Frames", original && original.frames > 1 && original.frames],
    ["Transparency", original?.alpha && "yes"],
    ["Colour", colour && element("span", { class: "colour" }, swatch, colour)],
    ["Palette", image.palette?.length > 0 && palette(image.palette)],
    ["Focus", image.focus && `${part(image.focus[0])} from the left, ${part(image.focus[1])} from the top`],
    ...Object.entries(image.exif ?? {}).map(([name, value]) => [EXIF[name] ?? name, value]),
    ["Added", added],
    ["Changed", changed !== added && changed],
    ["SHA-256", original && element("code", { title: original.sha256 }, `${original.sha256.slice(0, 16)}…`)],
    ["Perceptual hash", image.perceptual_hash && element("code", {}, image.perceptual_hash)],
    ["BlurHash", image.blurhash && element("code", {}, image.blurhash)],
    ["Id", element("code", {}, image.id)],
  ];
  const shown = rows.filter(([, value]) => value);
  return element(
    "dl",
    { class: "facts" },
    ...shown.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}

// Swatches only: as text they would take six lines. The title of each is its colour.
function palette(colours) {
  const swatches = colours.map((colour) => {
    const swatch = element("span", { class: "swatch", title: colour, role: "img", "aria-label": colour });
    swatch.style.backgroundColor = colour;
    return swatch;
  });
  return element("span", { class: "colour palette" }, ...swatches);
}

function renditions(image) {
  const heads = ["Size", "Format", "Bytes", "Compared to the original", "Transformation"];
  return element(
    "section",
    { class: "renditions" },
    element("h3", {}, counted(image.renditions.length, "rendition", "renditions")),
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", class: head === "Bytes" && "number" }, head)))),
      element("tbody", {}, ...renditionRows(image)),
    ),
  );
}

// From small to large. Renditions with the same bytes share a row group.
function renditionRows({ renditions, facts: original }) {
  const ordered = [...renditions].sort(
    (a, b) => a.width * a.height - b.width * b.height || compare(a.format, b.format) || compare(a.sha256, b.sha256),
  );
  return ordered.map((rendition, at) => {
    const isSame = rendition.sha256 === ordered[at - 1]?.sha256;
    return row(rendition, original, isSame ? sameness(rendition, original) : null);
  });
}

const compare = (one, other) => (one < other ? -1 : Number(one > other));

const sameness = (rendition, original) =>
  rendition.width === original.width || rendition.height === original.height
    ? "same image: the original is no larger"
    : "same image";

function row(rendition, original, same) {
  const share = saving(rendition, original);
  const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("i"));
  bar.firstChild.style.width = `${Math.min(1 - share, 1) * 100}%`;
  return element(
    "tr",
    { class: same && "same" },
    element("td", {}, element("a", { href: rendition.url, target: "_blank", rel: "noopener" }, pixels(rendition))),
    element("td", {}, FORMATS[rendition.format]),
    element("td", { class: "number" }, bytes(rendition.bytes)),
    element("td", { class: "saved" }, bar, percent(share)),
    element("td", { class: "made" }, transformationLabel(rendition.transformation), same && element("em", {}, same)),
  );
}
