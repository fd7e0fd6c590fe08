// The REST API of this server, and nothing else: every request of the page is made here.

// A refusal or failure that the server explained; `problem` is its document (RFC 9457).
export class Problem extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
  }

  // Whether the key of an upload already holds another file.
  get isTaken() {
    return this.problem.code === "precondition-failed";
  }
}

async function ask(method, path) {
  let answer;
  try {
    answer = await fetch(path, { method });
  } catch {
    throw new Problem({ code: "offline", detail: "The server does not answer." });
  }
  if (answer.status === 204) return null;
  const body = await answer.json().catch(() => ({ detail: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Problem(body);
  return body;
}

export const health = () => ask("GET", "/health");
export const image = (id) => ask("GET", `/images/${id}`);
export const remove = (id) => ask("DELETE", `/images/${id}`);
export const reprocess = (id) => ask("POST", `/images/${id}/reprocess`);
export const sample = () => ask("POST", "/samples");

export function images({ prefix, status, cursor, limit }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ prefix, status, cursor, limit })) {
    if (value) query.set(name, value);
  }
  return ask("GET", `/images?${query}`);
}

// Stores a file under a key that must be free.
// fetch cannot tell how much of a body has been sent; XMLHttpRequest can.
export function upload(key, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", "/uploads/" + key.split("/").map(encodeURIComponent).join("/"));
    request.setRequestHeader("If-None-Match", "*");
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Problem({ code: "offline", detail: "The connection broke." }));
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(new Problem(request.response ?? { detail: `The server answered ${request.status}.` }));
    };
    request.send(file);
  });
}

const EVENT_TYPES = ["queued", "started", "processed", "refused", "deleted", "skipped", "unchanged", "retrying", "failed"];
const RECONNECT_MILLISECONDS = 2000;

// Follows the server's events for as long as the page lives. `onReady(missed)` comes with every
// connection; the browser reconnects by itself after a break, but not after an answer like 503.
export function follow({ onReady, onEvent, onLost }) {
  const source = new EventSource("/events");
  source.addEventListener("ready", (message) => onReady(JSON.parse(message.data).missed));
  for (const type of EVENT_TYPES) {
    source.addEventListener(type, (message) => onEvent(JSON.parse(message.data)));
  }
  source.onerror = () => {
    onLost();
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => follow({ onReady: () => onReady(true), onEvent, onLost }), RECONNECT_MILLISECONDS);
  };
}
