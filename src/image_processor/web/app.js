// The page: connects the library with the server's events, and the controls with both.

import * as api from "./api.js";
import { Details } from "./details.js";
import { byId, say } from "./elements.js";
import { Library } from "./library.js";
import { Uploads } from "./uploads.js";
import { counted, fileName, refusal } from "./words.js";

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
    ? "Connection lost, trying again"
    : library.busy
      ? `${library.busy} in work`
      : "Up to date";
}

// Records are asked for one after the other: a burst of events is no burst of requests, and a
// key that comes up again while it waits is asked for once.
const wanted = new Map();
let asking = false;

async function look(id, then) {
  wanted.set(id, then);
  if (asking) return;
  asking = true;
  for (const [next, told] of wanted) {
    wanted.delete(next);
    const image = await api.image(next).catch(() => null);
    if (image) {
      library.put(image);
      told(image);
    }
  }
  asking = false;
}

const tellProcessed = ({ original, renditions }) =>
  say(`${fileName(original)} is ready: ${counted(renditions.length, "rendition", "renditions")}.`);

const tellRefused = ({ original, reason }) => say(`${fileName(original)} was refused. ${refusal(reason)}`);

const onEvent = {
  queued: ({ id, key }) => library.mark(key, { id, status: "queued", note: null }),
  started: ({ id, key }) => library.mark(key, { id, status: "processing", note: null }),
  retrying: ({ id, key }) => library.mark(key, { id, status: "queued", note: "Waiting to be tried again" }),
  failed: ({ id, key }) => {
    library.mark(key, { id, status: "delayed", note: "Could not be done now; it is tried again at the next sweep." });
  },
  processed: ({ id }) => look(id, tellProcessed),
  refused: ({ id }) => look(id, tellRefused),
  unchanged: ({ id }) => look(id, () => {}),
  deleted: ({ id, key }) => {
    details.close(id);
    library.forget(key);
  },
  skipped: ({ id, key }) => {
    library.mark(key, { id: null, status: "skipped", message: "Stored; the recipe makes nothing of it." });
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
    say("Drawing a picture…");
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
