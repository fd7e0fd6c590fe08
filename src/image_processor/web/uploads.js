// Uploads files that are chosen, dropped anywhere on the page, or pasted.

import * as api from "./api.js";
import { byId, say } from "./elements.js";
import { numbered, pastedName } from "./names.js";
import { bytes, counted, trouble } from "./labels.js";

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
      const now = new Date();
      this.add([...event.clipboardData.files].map((file) => ({ key: pastedName(file.name, now), file })));
    });
  }

  add(files) {
    if (!files.length) return;
    say(`Adding ${counted(files.length, "file", "files")}.`);
    for (const { key, file } of files) this.#waiting.push(this.#announce({ wanted: key, file, count: 1 }));
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

  // Shows a file under the first name, numbered from `count`, that the page knows no other file of.
  #announce({ wanted, file, count }) {
    while (!this.#isFree(numbered(wanted, count))) count++;
    const key = numbered(wanted, count);
    this.library.mark(key, { status: "uploading", size: file.size, progress: 0, note: null, since: Date.now() });
    return { wanted, file, count, key };
  }

  #isFree(key) {
    const status = this.library.get(key)?.status;
    return !status || status === "failed";
  }

  async #send(upload) {
    const { key, file } = upload;
    try {
      if (file.size > this.limit) throw new Error(`Larger than ${bytes(this.limit)}.`);
      const stored = await api.upload(key, file, (progress) => this.library.mark(key, { progress }));
      if (this.#isOnItsWay(key)) this.library.mark(key, { id: stored.id, status: "queued" });
    } catch (error) {
      if (error.isTaken) return this.#sendAsNext(upload);
      const why = error.problem ? trouble(error.problem) : error.message;
      this.library.mark(key, { status: "failed", message: why });
      say(`${key} was not added. ${why}`);
    }
  }

  // The server has a file of this name that the page does not know.
  #sendAsNext(upload) {
    if (this.#isOnItsWay(upload.key)) this.library.remove(upload.key);
    return this.#send(this.#announce({ ...upload, count: upload.count + 1 }));
  }

  // Events may arrive before the response to the upload.
  #isOnItsWay = (key) => this.library.get(key)?.status === "uploading";

  #acceptDrops() {
    const veil = byId("dropping");
    let depth = 0; // dragenter and dragleave fire for every element under the pointer
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

// The files of a drop, those in folders with their paths.
async function dropped(transfer) {
  // Entries must be read before the first await: the transfer is emptied after the event.
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
    // One call returns only some entries of the folder; an empty list is the end.
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    found.push(...(await Promise.all(part.map(walk))).flat());
  }
}
