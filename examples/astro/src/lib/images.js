// The REST API of image-processor by plain HTTP, and signed URLs of renditions. It runs where the site is built, and
// never in the browser: the token and the signing key are secrets.

import { createHmac } from "node:crypto";

const {
  IMAGES_URL = "http://127.0.0.1:8000",
  IMAGES_TOKEN,
  IMAGES_BASE = `${IMAGES_URL}/renditions`, // of the CDN
  IMAGES_SIGNING_KEY, // ID:SECRET as in the server's IMAGE_PROCESSOR_SIGNING_KEYS
} = process.env;

const ATTEMPTS = 4;

/** An error of the API: `code` is stable, `fix` says what helps. */
export class ApiError extends Error {
  constructor(status, { code = `http-${status}`, detail = "a response without an explanation", fix, reason } = {}) {
    super(`${status} ${code}: ${detail}`);
    Object.assign(this, { status, code, fix, reason });
  }
}

/** All processed images below a prefix, newest first. Pages follow each other by their cursor. */
export async function listImages(prefix) {
  const images = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ prefix, status: "processed", limit: "100", ...(cursor ? { cursor } : {}) });
    const page = await request("GET", `/images?${query}`);
    images.push(...page.images);
    cursor = page.cursor;
  } while (cursor !== null);
  return images;
}

/** Store a file under a key. With `wait`, its `status` says after at most so many seconds how it ended. */
export function upload(body, key, { wait = 30 } = {}) {
  return request("PUT", `/uploads/${quoteKey(key)}`, body, { prefer: `wait=${wait}` });
}

/**
 * The URL of a rendition, signed if there is a key. Names and values are those of docs/transformations.md in canonical
 * form: short names in lower case, values with colons, colours without `#`.
 */
export function imageUrl(key, parameters, { expires, base = IMAGES_BASE, signingKey = IMAGES_SIGNING_KEY } = {}) {
  const pairs = Object.entries(parameters);
  const url = `${base.replace(/\/+$/, "")}/${quoteKey(key)}?${queryOf(pairs)}`;
  if (!signingKey) return url;
  const at = signingKey.indexOf(":");
  const signature = [["kid", signingKey.slice(0, at)], ...(expires ? [["expires", expires]] : [])];
  const signed = [...pairs, ...signature].sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  const mac = createHmac("sha256", signingKey.slice(at + 1)).update(`${key}?${queryOf(signed)}`).digest("base64url");
  return `${url}&${queryOf([...signature, ["s", mac]])}`;
}

/** What an `<img>` needs to be shown in several widths, none beyond the original's. The server chooses the format. */
export function imageProps(image, widths, parameters = {}) {
  const { width, height } = image.facts;
  const offered = [...new Set(widths.map((step) => Math.min(step, width)))].sort((one, other) => one - other);
  const url = (step) => imageUrl(image.original, { ...parameters, w: step, fm: "auto" });
  const srcset = offered.map((step) => `${url(step)} ${step}w`).join(", ");
  return { src: url(offered.at(-1)), srcset, width, height };
}

/** A key as a path. Clients resolve `..`, so the slashes of a key with such a segment are encoded. */
export function quoteKey(key) {
  const segments = key.split("/");
  const slash = segments.includes(".") || segments.includes("..") ? "%2F" : "/";
  const quoted = segments.map(encodeURIComponent).join(slash);
  return quoted
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%3D", "=")
    .replaceAll("%2C", ",");
}

function queryOf(pairs) {
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

/** Every request has the same effect when it is sent twice, so what may be temporary is tried again. */
async function request(method, path, body, headers = {}) {
  const authorized = IMAGES_TOKEN ? { ...headers, authorization: `Bearer ${IMAGES_TOKEN}` } : headers;
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(IMAGES_URL + path, { method, body, headers: authorized }).catch((error) => error);
    const temporary = response instanceof Error || [429, 502, 503, 504].includes(response.status);
    if (!temporary || attempt === ATTEMPTS) return answer(response);
    await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt * (0.5 + Math.random() / 2)));
  }
}

async function answer(response) {
  if (response instanceof Error) throw response;
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let problem;
  try {
    problem = JSON.parse(text);
  } catch {
    problem = {}; // of a proxy
  }
  throw new ApiError(response.status, problem);
}
