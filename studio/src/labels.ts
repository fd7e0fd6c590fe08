// Texts of the page: sizes, savings, times, states, and why an image was refused.

import type { ProblemDocument } from "./api/client";
import type { State } from "./state/item";

const REFUSALS: Record<string, string> = {
  empty: "The file is empty.",
  "not-an-image": "This is not an image.",
  "unsupported-format": "This image format is not supported.",
  truncated: "The end of the file is missing.",
  corrupt: "The file is damaged.",
  "too-many-bytes": "The file is too large.",
  "too-many-pixels": "The image has too many pixels.",
  "too-many-frames": "The animation has too many frames.",
  "too-many-scans": "The file has too many scans, which make it slow to decode.",
  "output-too-large": "A rendition would be too large.",
  "region-outside": "The requested region lies outside the image.",
  "too-slow": "The image took too long to process.",
  "decoder-crashed": "The file crashes the decoder.",
  "engine-failed": "Processing failed because of an error in the server, not in the file.",
  "outside-root": "The file is outside the upload directory.",
  unreadable: "The server has no permission to read the file.",
  "overlay-missing": "An overlay image of this image does not exist.",
  "overlay-refused": "An overlay image of this image cannot be decoded.",
  "no-font": "No font is available for a text overlay.",
};

export const refusal = (reason: string | null | undefined) => REFUSALS[reason ?? ""] ?? "This file cannot be processed.";

// Why a request failed, from the server's problem document.
export function trouble({ code, reason, fix, detail }: ProblemDocument): string {
  if (reason) return refusal(reason);
  return code === "skipped" ? "The recipe makes no renditions of this file." : (fix ?? detail);
}

export const FORMATS: Record<string, string> = { jpeg: "JPEG", png: "PNG", webp: "WebP", avif: "AVIF", gif: "GIF", tiff: "TIFF" };

export const EXIF: Record<string, string> = {
  make: "Camera maker",
  model: "Camera",
  lens: "Lens",
  taken_at: "Taken",
  exposure_time: "Exposure, s",
  f_number: "F-number",
  iso: "ISO",
  focal_length: "Focal length, mm",
  orientation: "Orientation",
  software: "Software",
  artist: "Artist",
  copyright: "Copyright",
  description: "Description",
  gps: "Position",
};

export const STATES: Record<State, string> = {
  uploading: "Uploading",
  queued: "Waiting",
  processing: "Processing",
  processed: "Ready",
  refused: "Refused",
  failed: "Not added",
  delayed: "Delayed",
  skipped: "Stored only",
};

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const [value, unit] = count < 999_500 ? [count / 1e3, "kB"] : count < 999_500_000 ? [count / 1e6, "MB"] : [count / 1e9, "GB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

// No-break spaces keep a number and its unit on one line.
export const pixels = ({ width, height }: { width: number; height: number }) => `${width}\u00a0×\u00a0${height}`;

export const counted = (count: number, singular: string, plural: string) =>
  `${count.toLocaleString("en")}\u00a0${count === 1 ? singular : plural}`;

// The fraction of the original's bytes that a rendition saves: negative if it is larger.
export const saving = (rendition: { bytes: number }, original: { bytes: number }) => 1 - rendition.bytes / original.bytes;

export const percent = (fraction: number) => `${fraction < 0 ? "+" : "−"}${Math.round(Math.abs(fraction) * 100)}\u00a0%`;

export const part = (fraction: number) => `${Math.round(fraction * 100)}\u00a0%`;

export const moment = (text: string) =>
  new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

export const fileName = (key: string) => key.split("/").filter(Boolean).at(-1) ?? key;

const LABELLED = new Set(["w", "h", "fit", "g", "q", "bg", "fm"]);

// "w=640,q=80,fm=avif" in words, without the format, which the page shows separately.
export function transformationLabel(transformation: string): string {
  const values: Record<string, string> = Object.fromEntries(transformation.split(",").map((pair) => pair.split("=")));
  const box = values.w && values.h ? `${values.w} × ${values.h}` : values.w ? `${values.w} wide` : `${values.h} high`;
  const parts = [values.w || values.h ? box : "original size", values.fit];
  if (values.g) parts.push(values.g === "attention" ? "smart crop" : values.g);
  if (values.q) parts.push(`quality ${values.q}`);
  if (values.bg) parts.push(`on #${values.bg}`);
  // Parameters without a label are shown as they are written.
  const others = transformation.split(",").filter((pair) => !LABELLED.has(pair.split("=")[0] ?? ""));
  parts.push(...others);
  return parts.filter(Boolean).join(", ");
}
