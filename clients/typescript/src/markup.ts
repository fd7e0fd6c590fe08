// Writes `srcset`, `<img>` and `<picture>` for a key, without a request to the server. Nothing is known of the
// original, so the server chooses the format by default (`fm=auto`): that preserves transparency and animation.

import { canonicalPairs, type Pairs, type Transformation } from "./canonical.js";
import { SCALED } from "./tables.js";
import type { Expires, UrlBuilder } from "./urls.js";

/** The widths of an image with `sizes` and no widths of its own, in pixels. */
export const WIDTHS: readonly number[] = [320, 640, 960, 1280, 1920, 2560];

/** Formats that some browsers lack, in the order in which `<picture>` offers them. */
export type PictureFormat = "avif" | "webp" | "jxl";

const MEDIA_TYPES: Readonly<Record<string, string>> = { avif: "image/avif", webp: "image/webp", jxl: "image/jxl" };

/**
 * How wide an image is shown, and so which renditions it needs. With `sizes` or `widths` the browser chooses by its
 * window's width; otherwise by its pixel density, for an image of the fixed width `w`.
 */
export interface Layout {
  widths?: readonly number[] | undefined;
  sizes?: string | undefined;
  /** 1 and 2 device pixels for each CSS pixel by default. */
  densities?: readonly number[] | undefined;
  /** Width and height of the original: nothing beyond it is offered, and the page reserves the image's space. */
  original?: readonly [number, number] | undefined;
}

export interface SrcsetOptions extends Layout {
  expires?: Expires | undefined;
}

export interface ImgOptions extends SrcsetOptions {
  /** The alternative text; empty for a decoration. */
  alt: string;
  /** Further attributes. `true` stands for one without a value; null, undefined and false leave one out. */
  attributes?: Readonly<Record<string, string | number | boolean | null | undefined>> | undefined;
}

export interface PictureOptions extends ImgOptions {
  formats?: readonly PictureFormat[] | undefined;
}

/** The parts of an `<img>` for components of a framework; `srcSet` is undefined with one candidate. */
export interface ImgProps {
  src: string;
  srcSet?: string;
  sizes?: string;
  width?: number;
  height?: number;
}

interface Candidate {
  pairs: Pairs;
  descriptor: string;
  size: Size;
}

type Size = readonly [number | undefined, number | undefined];

/** The value of a `srcset` attribute, not escaped; empty with one candidate only. */
export async function srcset(
  urls: UrlBuilder,
  key: string,
  transformation: Transformation,
  options: SrcsetOptions = {},
): Promise<string> {
  return (await imgProps(urls, key, transformation, options)).srcSet ?? "";
}

/** What an `<img>` needs, as properties for React and others: `<img {...await imgProps(urls, key, {w: 320})} alt="">`. */
export async function imgProps(
  urls: UrlBuilder,
  key: string,
  transformation: Transformation,
  options: SrcsetOptions = {},
): Promise<ImgProps> {
  return props(urls, key, withFormat(canonicalPairs(transformation)), options);
}

/** An `<img>` as HTML. */
export async function img(
  urls: UrlBuilder,
  key: string,
  transformation: Transformation,
  options: ImgOptions,
): Promise<string> {
  return imgTag(await imgProps(urls, key, transformation, options), options);
}

/**
 * A `<picture>` as HTML with a source for each of `formats`, for a CDN that cannot vary by `Accept`. Its `<img>` has
 * the format of the transformation, or leaves it to the server.
 */
export async function picture(
  urls: UrlBuilder,
  key: string,
  transformation: Transformation,
  options: PictureOptions,
): Promise<string> {
  const pairs = canonicalPairs(transformation);
  const lines: string[] = [];
  for (const format of options.formats ?? ["avif", "webp"]) {
    const type = MEDIA_TYPES[format];
    if (type === undefined) {
      throw new TypeError(`expected some of ${Object.keys(MEDIA_TYPES).join(", ")} for formats, got ${JSON.stringify(format)}`);
    }
    const parts = await props(urls, key, [...pairs.filter(([name]) => name !== "fm"), ["fm", format]], options);
    lines.push(tag("source", { type, srcset: parts.srcSet ?? parts.src, sizes: options.sizes }));
  }
  lines.push(imgTag(await props(urls, key, withFormat(pairs), options), options));
  return ["<picture>", ...lines.map((line) => `  ${line}`), "</picture>"].join("\n");
}

async function props(urls: UrlBuilder, key: string, pairs: Pairs, options: SrcsetOptions): Promise<ImgProps> {
  const url = (of: Pairs) => urls.url(key, of.map((pair) => pair.join("=")).join(","), { expires: options.expires });
  const candidates = candidatesOf(pairs, options);
  const shown = isByWidth(options) ? candidates.at(-1) : candidates[0];
  const [width, height] = shown?.size ?? cssSize(pairs, options);
  const listed = await Promise.all(candidates.map(async (one) => `${await url(one.pairs)} ${one.descriptor}`));
  const several = candidates.length > 1;
  return {
    src: await url(shown?.pairs ?? pairs),
    ...(several ? { srcSet: listed.join(", ") } : {}),
    ...(several && isByWidth(options) ? { sizes: options.sizes || "100vw" } : {}),
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
  };
}

function isByWidth(layout: Layout): boolean {
  return Boolean(layout.widths?.length) || layout.sizes !== undefined;
}

/** The candidates in ascending order; none if the parameters name no width to multiply. */
function candidatesOf(pairs: Pairs, layout: Layout): Candidate[] {
  if (isByWidth(layout)) return widthCandidates(pairs, layout);
  if (pixels(pairs, "w") === undefined || pairs.some(([name]) => name === "dpr")) return [];
  const size = cssSize(pairs, layout);
  return ascending(layout.densities ?? [1, 2]).map((density) => ({
    pairs: dense(pairs, density),
    descriptor: `${density}x`,
    size,
  }));
}

function widthCandidates(pairs: Pairs, layout: Layout): Candidate[] {
  const width = pixels(pairs, "w");
  const height = pixels(pairs, "h");
  if (height !== undefined && width === undefined) {
    throw new TypeError("expected w beside h for renditions of several widths, got h alone");
  }
  const { original } = layout;
  const widths = layout.widths?.length ? layout.widths : WIDTHS;
  const most = original?.[0] ?? Infinity;
  return ascending(widths.map((one) => Math.min(one, most))).map((one) => {
    const changed = new Map([["w", String(one)]]);
    let scaled: number | undefined;
    if (height !== undefined && width !== undefined) {
      scaled = Math.max(1, round((one * height) / width));
      changed.set("h", String(scaled));
    } else if (original !== undefined && !changesShape(pairs)) {
      scaled = Math.max(1, round((one * original[1]) / original[0]));
    }
    return { pairs: replaced(pairs, changed), descriptor: `${one}w`, size: [one, scaled] };
  });
}

/** The width and height of an image of a fixed width in CSS pixels, as far as they are known. */
function cssSize(pairs: Pairs, { original }: Layout): Size {
  const width = pixels(pairs, "w");
  const height = pixels(pairs, "h");
  if (width && height === undefined && original !== undefined && !changesShape(pairs)) {
    return [width, Math.max(1, round((width * original[1]) / original[0]))];
  }
  return [width, height];
}

const SHAPING = new Set(["ar", "rect", "trim", "rot", "orient", "pad", "then", "preset", "fit", "min-h", "zoom"]);

/** Whether the rendition may have other proportions than the original. */
function changesShape(pairs: Pairs): boolean {
  return pairs.some(([name]) => SHAPING.has(name));
}

function dense(pairs: Pairs, density: number): Pairs {
  if (density === 1) return pairs;
  if (pairs.some(([name]) => SCALED.includes(name))) return [...pairs, ["dpr", String(density)]];
  const changed = new Map<string, string>();
  for (const name of ["w", "h"]) {
    const side = pixels(pairs, name);
    if (side) changed.set(name, String(round(side * density)));
  }
  return replaced(pairs, changed);
}

function replaced(pairs: Pairs, changed: ReadonlyMap<string, string>): Pairs {
  return [...pairs.filter(([name]) => !changed.has(name)), ...changed];
}

function withFormat(pairs: Pairs): Pairs {
  return pairs.some(([name]) => name === "fm") ? pairs : [...pairs, ["fm", "auto"]];
}

function pixels(pairs: Pairs, name: string): number | undefined {
  const value = pairs.find(([one]) => one === name)?.[1] ?? "";
  return /^[0-9]+$/.test(value) ? Number(value) : undefined;
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((one, other) => one - other);
}

/** Halves to the even number, as Python rounds, so that both clients write the same URLs. */
function round(value: number): number {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}

function imgTag(parts: ImgProps, { alt, attributes }: ImgOptions): string {
  const { src, srcSet, sizes, width, height } = parts;
  return tag("img", { src, srcset: srcSet, sizes, width, height, alt, ...attributes });
}

function tag(name: string, attributes: Readonly<Record<string, unknown>>): string {
  return `<${name}${Object.entries(attributes).map(([key, value]) => attribute(key, value)).join("")}>`;
}

function attribute(name: string, value: unknown): string {
  if (!/^[A-Za-z_:][A-Za-z0-9_.:-]*$/.test(name)) {
    throw new TypeError(`expected the name of an attribute, got ${JSON.stringify(name)}`);
  }
  if (value === null || value === undefined || value === false) return "";
  return value === true ? ` ${name}` : ` ${name}="${escape(String(value))}"`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}
