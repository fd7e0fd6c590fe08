// Files on their way in: chosen, dropped anywhere on the page, or pasted.

import * as api from "./api.js";
import { byId, say } from "./elements.js";
import { bytes, counted } from "./words.js";

const AT_ONCE = 3;

export class Uploads {
  #waiting = [];
  #running = 0;

  constructor(library) {
    this.library = library;
    this.limit = Infinity;
    const input = byId("files");
    for (const id of ["choose", "choose-first"]) byId(id).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add([...input.files].map((file) => ({ key: file.name, file })));
      input.value = "";
    });
    this.#acceptDrops();
    document.addEventListener("paste", (event) => {
      this.add([...event.clipboardData.files].map((file) => ({ key: file.name, file })));
    });
  }

  add(files) {
    const fresh = distinct(files);
    if (!fresh.length) return;
    say(`Adding ${counted(fresh.length, "file", "files")}.`);
    for (const each of fresh) {
      this.library.mark(each.key, { status: "uploading", size: each.file.size, progress: 0, note: null, since: Date.now() });
      this.#waiting.push(each);
    }
    this.#next();
  }

  #next() {
    while (this.#running < AT_ONCE && this.#waiting.length) {
      this.#running++;
      this.#send(this.#waiting.shift()).finally(() => {
        this.#running--;
        this.#next();
      });
    }
  }

  async #send({ key, file }) {
    const before = this.library.get(key);
    try {
      if (file.size > this.limit) throw new Error(`Larger than ${bytes(this.limit)}.`);
      const stored = await api.upload(key, file, (progress) => this.library.mark(key, { progress }));
      // The events may have been quicker than this answer.
      if (this.library.get(key)?.status === "uploading") this.library.mark(key, { id: stored.id, status: "queued" });
    } catch (error) {
      const why = error.problem?.fix ?? error.message;
      this.library.mark(key, { id: before?.id, status: "failed", message: why });
      say(`${key} was not added. ${why}`);
    }
  }

  #acceptDrops() {
    const veil = byId("dropping");
    let depth = 0; // dragenter and dragleave come for every element on the way
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const track = (change) => (event) => {
      if (!hasFiles(event)) return;
      depth = Math.max(0, depth + change);
      veil.hidden = depth === 0;
    };
    addEventListener("dragenter", track(1));
    addEventListener("dragleave", track(-1));
    addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    addEventListener("drop", async (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      veil.hidden = true;
      this.add(await dropped(event.dataTransfer));
    });
  }
}

// Two files of one name in one go (from different folders) must not replace each other.
function distinct(files) {
  const keys = new Set();
  return files.map(({ key, file }) => {
    const dot = key.lastIndexOf(".") > 0 ? key.lastIndexOf(".") : key.length;
    let name = key;
    for (let count = 2; keys.has(name); count++) name = `${key.slice(0, dot)}-${count}${key.slice(dot)}`;
    keys.add(name);
    return { key: name, file };
  });
}

// The files of a drop; folders are walked, and what they hold keeps its path.
async function dropped(transfer) {
  // Entries must be taken before the first await: the transfer is emptied after the event.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) {
    return [...transfer.files].map((file) => ({ key: file.name, file }));
  }
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry) {
  if (entry.name.startsWith(".")) return [];
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ key: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // One call gives a part of the folder only; none left means the end.
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    found.push(...(await Promise.all(part.map(walk))).flat());
  }
}
