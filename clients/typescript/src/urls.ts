// Builds URLs of renditions and signs them, without a request to the server. WebCrypto signs, in Node and in
// browsers; but keep a signing key out of what visitors can read: who has it may request any rendition.

import { canonicalPairs, type Pairs, type Transformation } from "./canonical.js";

const MAX_KEY_BYTES = 1024;
const BASE_URL = /^((https?:)?\/\/[A-Za-z0-9.:[\]-]+)?(\/(?!\/)[A-Za-z0-9._~!$&*+,;=:@/%-]*)?$/;
const SIGNING_KEY = /^([A-Za-z0-9_-]{1,32}):([!-~]{16,256})$/;

/** When a signature ends: Unix seconds, or a time. */
export type Expires = number | Date;

export interface UrlOptions {
  /** Without it, the URL is valid for ever, which caches like best. */
  expires?: Expires | undefined;
}

export interface UrlBuilderOptions {
  /** The address of the CDN, or `https://.../renditions` of a server on one machine. */
  base: string;
  /** `ID:SECRET` as in the server's IMAGE_PROCESSOR_SIGNING_KEYS; without it URLs are not signed. */
  signingKey?: string | undefined;
}

/** Builds URLs of renditions, signed if it has a key. Throws a TypeError for a wrong base or key. */
export class UrlBuilder {
  readonly base: string;
  readonly #kid: string | undefined;
  readonly #secret: Uint8Array<ArrayBuffer> | undefined;
  #key: Promise<CryptoKey> | undefined;

  constructor({ base, signingKey }: UrlBuilderOptions) {
    if (!BASE_URL.test(base)) {
      throw new TypeError(`expected a URL such as https://img.example, or a path, got ${JSON.stringify(base)}`);
    }
    this.base = base.replace(/\/+$/, "");
    if (signingKey === undefined) return;
    const match = SIGNING_KEY.exec((signingKey.split(",")[0] ?? "").trim());
    if (match === null) throw new TypeError("expected ID:SECRET with a secret of 16-256 characters, got something else");
    this.#kid = match[1];
    this.#secret = new TextEncoder().encode(match[2]);
  }

  /** The URL of a rendition, signed if there is a key. */
  async url(key: string, transformation: Transformation, { expires }: UrlOptions = {}): Promise<string> {
    const pairs = canonicalPairs(transformation);
    const url = unsigned(this.base, key, pairs);
    if (this.#kid !== undefined) return `${url}&${await this.#signature(key, pairs, expires)}`;
    if (expires !== undefined) throw new TypeError("expected a signing key for a URL that expires, got none");
    return url;
  }

  /** The URL without a signature: it opens what a public preset declares. */
  publicUrl(key: string, transformation: Transformation): string {
    return unsigned(this.base, key, canonicalPairs(transformation));
  }

  async #signature(key: string, pairs: Pairs, expires: Expires | undefined): Promise<string> {
    const until = expires instanceof Date ? Math.floor(expires.getTime() / 1000) : expires;
    if (until !== undefined && !Number.isInteger(until)) {
      throw new TypeError(`expected Unix seconds or a valid Date for expires, got ${String(expires)}`);
    }
    const end = until === undefined ? [] : [["expires", String(until)] as const];
    const signed = [...pairs, ["kid", this.#kid ?? ""] as const, ...end];
    // A stable sort: repeatable parameters keep their order.
    signed.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
    const text = `${key}?${query(signed)}`;
    const mac = await globalThis.crypto.subtle.sign("HMAC", await this.#cryptoKey(), new TextEncoder().encode(text));
    return query([["kid", this.#kid ?? ""], ...end, ["s", base64url(new Uint8Array(mac))]]);
  }

  #cryptoKey(): Promise<CryptoKey> {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const secret = this.#secret ?? new Uint8Array();
    this.#key ??= globalThis.crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
    return this.#key;
  }
}

/**
 * `key` as a path. Clients resolve `.` and `..` segments, even percent-encoded ones; the slashes of a key with such a
 * segment are encoded, so that it is one segment. Throws a TypeError for a key that no store has.
 */
export function quoteKey(key: string): string {
  if (!isWellFormed(key)) throw new TypeError(`expected a key of valid Unicode, got ${JSON.stringify(key)}`);
  const length = new TextEncoder().encode(key).length;
  if (length < 1 || length > MAX_KEY_BYTES) {
    throw new TypeError(`expected a key of 1-${MAX_KEY_BYTES} bytes of UTF-8, got ${length}`);
  }
  const segments = key.split("/");
  const slash = segments.includes(".") || segments.includes("..") ? "%2F" : "/";
  return segments.map(quoteSegment).join(slash);
}

/** The id of an original. `bucket` is the upload bucket's name; on one machine with a directory it is `uploads`. */
export async function imageId(bucket: string, key: string): Promise<string> {
  const text = new TextEncoder().encode(`${bucket}\0${key}`);
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", text)).subarray(0, 16);
  const bits = Array.from(digest, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{1,5}/g) ?? []).map((five) => "abcdefghijklmnopqrstuvwxyz234567"[parseInt(five.padEnd(5, "0"), 2)]).join("");
}

function quoteSegment(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%(3D|2C)/g, (_, code: string) => (code === "3D" ? "=" : ","));
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function unsigned(base: string, key: string, pairs: Pairs): string {
  if (pairs.length === 0) throw new TypeError("expected parameters such as {w: 640}, got none");
  return `${base}/${quoteKey(key)}?${query(pairs)}`;
}

function query(pairs: Pairs): string {
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
