// The REST API of the server: every request of the page is made here.

// A failed request; `problem` is the server's problem document (RFC 9457).
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

async function request(method, path) {
  let response;
  try {
    response = await fetch(path, { method });
  } catch {
    throw new Problem({ code: "offline", detail: "The server does not respond." });
  }
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Problem(body);
  return body;
}

export const health = () => request("GET", "/health");
export const image = (id) => request("GET", `/images/${id}`);
export const remove = (id) => request("DELETE", `/images/${id}`);
export const reprocess = (id) => request("POST", `/images/${id}/reprocess`);
export const sample = () => request("POST", "/samples");

export function images({ prefix, status, cursor, limit }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ prefix, status, cursor, limit })) {
    if (value) query.set(name, value);
  }
  return request("GET", `/images?${query}`);
}

// Stores a file under a key that must be free. XMLHttpRequest reports the progress of the body; fetch
// does not.
export function upload(key, file, onProgress) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("PUT", "/uploads/" + key.split("/").map(encodeURIComponent).join("/"));
    xhr.setRequestHeader("If-None-Match", "*");
    xhr.responseType = "json";
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onerror = () => reject(new Problem({ code: "offline", detail: "The connection was lost." }));
    xhr.onload = () => {
      if (xhr.status === 201) resolve(xhr.response);
      else reject(new Problem(xhr.response ?? { detail: `The server answered ${xhr.status}.` }));
    };
    xhr.send(file);
  });
}

const EVENT_TYPES = ["queued", "started", "processed", "refused", "deleted", "skipped", "unchanged", "retrying", "failed"];
const RECONNECT_MILLISECONDS = 2000;

// Follows the server's events while the page is open. Every connection calls `onReady(missed)`. The
// browser reconnects after a lost connection, but not after a response like 503.
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
