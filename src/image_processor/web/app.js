// The page: connects the library, the server's events and the controls.

import * as api from "./api.js";
import { Details } from "./details.js";
import { byId, say } from "./elements.js";
import { Library } from "./library.js";
import { Uploads } from "./uploads.js";
import { counted, fileName, refusal } from "./labels.js";

const TYPING_MILLISECONDS = 200;
let connected = false;

const library = new Library(() => {
  showState();
  details.refresh();
});
const details = new Details(library);
const uploads = new Uploads(library);

function showState() {
  const state = byId("state");
  state.dataset.state = !connected ? "lost" : library.busy ? "busy" : "ready";
  byId("state-text").textContent = !connected
    ? "Connection lost, reconnecting"
    : library.busy
      ? `${library.busy} in progress`
      : "Up to date";
}

// Records are requested one after the other, so that a burst of events is no burst of requests. An id
// that comes up again while it waits is requested once.
const pending = new Map();
let requesting = false;

async function refresh(id, onImage) {
  pending.set(id, onImage);
  if (requesting) return;
  requesting = true;
  for (const [next, onNext] of pending) {
    pending.delete(next);
    const image = await api.image(next).catch(() => null);
    if (image) {
      library.put(image);
      onNext(image);
    }
  }
  requesting = false;
}

const sayProcessed = ({ original, renditions }) =>
  say(`${fileName(original)} is ready: ${counted(renditions.length, "rendition", "renditions")}.`);

const sayRefused = ({ original, reason }) => say(`${fileName(original)} was refused. ${refusal(reason)}`);

const onEvent = {
  queued: ({ id, key }) => library.mark(key, { id, status: "queued", note: null }),
  started: ({ id, key }) => library.mark(key, { id, status: "processing", note: null }),
  retrying: ({ id, key }) => library.mark(key, { id, status: "queued", note: "Waiting for another try" }),
  failed: ({ id, key }) => {
    library.mark(key, { id, status: "delayed", note: "Failed for now; the next reconciliation tries again." });
  },
  processed: ({ id }) => refresh(id, sayProcessed),
  refused: ({ id }) => refresh(id, sayRefused),
  unchanged: ({ id }) => refresh(id, () => {}),
  deleted: ({ id, key }) => {
    details.close(id);
    library.remove(key);
  },
  skipped: ({ id, key }) => {
    library.mark(key, { id: null, status: "skipped", message: "Stored; the recipe makes no renditions of it." });
  },
};

async function connect(missed) {
  connected = true;
  showState();
  if (!missed) return;
  await library.reload().catch((error) => say(error.message));
}

function setUpFilters() {
  const form = byId("filters");
  let timer;
  const apply = () => {
    const { prefix, status } = Object.fromEntries(new FormData(form));
    library.filterBy({ prefix, status }).catch((error) => say(error.message));
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, TYPING_MILLISECONDS);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("show-all").addEventListener("click", () => {
    form.reset();
    apply();
  });
}

function setUpSample() {
  byId("sample").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    say("Drawing an image…");
    await api.sample().catch((error) => say(error.message));
    button.disabled = false;
  });
}

async function start() {
  setUpFilters();
  setUpSample();
  let first = true;
  api.follow({
    onReady: (missed) => {
      connect(missed || first);
      first = false;
    },
    onEvent: (event) => onEvent[event.type](event),
    onLost: () => {
      connected = false;
      showState();
    },
  });
  const { uploads: directory, max_bytes } = await api.health();
  byId("directory").textContent = directory;
  uploads.limit = max_bytes;
  details.follow();
}

start().catch((error) => say(error.message));
