// The grid of images. The server's records are the source of truth; states that only the page knows (a
// file that is being uploaded, a queued key) are kept until a record replaces them.

import * as api from "./api.js";
import { newCard, show } from "./card.js";
import { byId, say } from "./elements.js";

const PAGE = 48;
const LOCAL = ["uploading", "queued", "failed", "delayed", "skipped"];

export class Library {
  #images = new Map(); // by key
  #cards = new Map(); // by key
  #cursor = null;
  #loading = 0;
  #filter = { prefix: "", status: "" };
  #loaded = false;

  constructor(onChange) {
    this.onChange = onChange;
    byId("more").addEventListener("click", () => this.#more().catch((error) => say(error.message)));
  }

  find = (id) => [...this.#images.values()].find((image) => image.id === id);
  get = (key) => this.#images.get(key);

  get busy() {
    const working = ["uploading", "queued", "processing"];
    return [...this.#images.values()].filter(({ status }) => working.includes(status)).length;
  }

  filterBy(filter) {
    this.#filter = filter;
    return this.reload();
  }

  // Reloads as many records as are shown; keeps the states that only this page knows.
  async reload() {
    const request = ++this.#loading;
    const limit = Math.min(Math.max(PAGE, this.#filter.prefix ? 0 : this.#recorded()), 1000);
    const page = await api.images({ ...this.#filter, limit });
    if (request !== this.#loading) return; // a later request has replaced this one
    const local = [...this.#images.values()].filter(({ status }) => LOCAL.includes(status));
    const recorded = new Set(page.images.map(({ original }) => original));
    this.#images = new Map(page.images.map((image) => [image.original, image]));
    for (const image of local) if (!recorded.has(image.original)) this.#images.set(image.original, image);
    this.#cursor = page.cursor;
    this.#loaded = true;
    this.#draw();
  }

  // Shows a record of the server.
  put(image) {
    this.#images.set(image.original, image);
    this.#draw();
  }

  // Shows a state that the record of a key does not have yet.
  mark(key, state) {
    const before = this.#images.get(key) ?? { original: key, renditions: [], since: Date.now() };
    this.#images.set(key, { ...before, ...state });
    this.#draw();
  }

  remove(key) {
    if (this.#images.delete(key)) this.#draw();
  }

  #recorded = () => [...this.#images.values()].filter(({ created_at }) => created_at).length;

  async #more() {
    const page = await api.images({ ...this.#filter, limit: PAGE, cursor: this.#cursor });
    this.#cursor = page.cursor;
    for (const image of page.images) this.#images.set(image.original, image);
    this.#draw();
    const first = page.images[0];
    if (first) this.#cards.get(first.original)?.querySelector("a")?.focus();
  }

  #matches({ original, status }) {
    const filter = this.#filter.status;
    return original.startsWith(this.#filter.prefix) && (!filter || filter === status || LOCAL.includes(status));
  }

  #draw() {
    if (!this.#loaded) return;
    const shown = [...this.#images.values()].filter((image) => this.#matches(image)).sort(newestFirst);
    const keys = new Set(shown.map(({ original }) => original));
    for (const [key, card] of this.#cards) {
      if (keys.has(key)) continue;
      card.remove();
      this.#cards.delete(key);
    }
    const grid = byId("grid");
    shown.forEach((image, at) => {
      const card = this.#cards.get(image.original) ?? newCard();
      this.#cards.set(image.original, card);
      show(card, image);
      if (grid.children[at] !== card) grid.insertBefore(card, grid.children[at] ?? null);
    });
    const filtered = Boolean(this.#filter.prefix || this.#filter.status);
    byId("more").hidden = !this.#cursor;
    byId("empty").hidden = shown.length > 0 || filtered;
    byId("library").hidden = shown.length === 0 && !filtered;
    byId("nothing").hidden = shown.length > 0 || !filtered;
    this.onChange();
  }
}

const time = (image) => (image.created_at ? Date.parse(image.created_at) : image.since);

const newestFirst = (image, other) => time(other) - time(image) || (image.original < other.original ? -1 : 1);
