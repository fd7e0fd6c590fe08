// How the page says things: sizes, savings, times, and why a picture was refused.

const REFUSALS = {
  empty: "The file is empty.",
  "not-an-image": "This is not a picture.",
  "unsupported-format": "This picture format is not supported.",
  truncated: "The end of the file is missing.",
  corrupt: "The file is damaged.",
  "too-many-bytes": "The file is too large.",
  "too-many-pixels": "The picture has too many pixels.",
  "too-many-frames": "The animation has too many frames.",
  "too-many-scans": "The file is built to be slow to open.",
  "output-too-large": "A rendition would become too large.",
  "region-outside": "The part that is wanted lies outside the picture.",
  "too-slow": "The picture took too long to open.",
  "decoder-crashed": "The file makes the decoder crash.",
  "engine-failed": "The picture could not be made; the fault is not the file's.",
  "outside-root": "The file lies outside the upload directory.",
  "overlay-missing": "A picture that is laid over this one is not there.",
  "overlay-refused": "A picture that is laid over this one cannot be opened.",
  "no-font": "There is no font to write a text with.",
};

export const refusal = (reason) => REFUSALS[reason] ?? "This file cannot be processed.";

// Why something could not be done, from the server's problem document.
export function trouble({ code, reason, fix, detail }) {
  if (reason) return refusal(reason);
  return code === "skipped" ? "The recipe makes nothing of this file." : (fix ?? detail);
}

export const FORMATS = { jpeg: "JPEG", png: "PNG", webp: "WebP", avif: "AVIF", gif: "GIF", tiff: "TIFF" };

export const EXIF = {
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

export const STATES = {
  uploading: "Uploading",
  queued: "Waiting",
  processing: "In work",
  processed: "Ready",
  refused: "Refused",
  failed: "Not added",
  delayed: "Put off",
  skipped: "Stored only",
};

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [value, unit] = count < 999_500 ? [count / 1e3, "kB"] : [count / 1e6, "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

// No-break spaces keep what belongs together on one line.
export const pixels = ({ width, height }) => `${width}\u00a0×\u00a0${height}`;

export const counted = (count, one, many) => `${count}\u00a0${count === 1 ? one : many}`;

// How many of the original's bytes a rendition saves, as a share: negative if it is larger.
export const saving = (rendition, original) => 1 - rendition.bytes / original.bytes;

export const percent = (share) => `${share < 0 ? "+" : "−"}${Math.round(Math.abs(share) * 100)}\u00a0%`;

export const part = (share) => `${Math.round(share * 100)}\u00a0%`;

export const moment = (text) =>
  new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

export const fileName = (key) => key.split("/").filter(Boolean).at(-1) ?? key;

const WORDED = new Set(["w", "h", "fit", "g", "q", "bg", "fm"]);

// "w=640,q=80,fm=avif" as people would say it, without the format that stands beside it.
export function recipeWords(transformation) {
  const given = Object.fromEntries(transformation.split(",").map((pair) => pair.split("=")));
  const box = given.w && given.h ? `${given.w} × ${given.h}` : given.w ? `${given.w} wide` : `${given.h} high`;
  const words = [given.w || given.h ? box : "original size", given.fit];
  if (given.g) words.push(given.g === "attention" ? "smart crop" : given.g);
  if (given.q) words.push(`quality ${given.q}`);
  if (given.bg) words.push(`on #${given.bg}`);
  // What there are no words for is shown as it is written.
  const others = transformation.split(",").filter((pair) => !WORDED.has(pair.split("=")[0]));
  words.push(...others);
  return words.filter(Boolean).join(", ");
}
