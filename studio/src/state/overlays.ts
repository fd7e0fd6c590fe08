// Overlays as texts: "text:Hello;size:0.1;colour:ffffff", "image:logos~2fmark.png;w:0.2". What has no control here
// stays as it is.

export interface Overlay {
  kind: string;
  // The text, or the key of the image.
  content: string;
  options: Readonly<Record<string, string>>;
}

// Letters, digits, `_`, `.` and `-` stay; any other byte becomes `~` and two hex digits.
export const quote = (text: string): string =>
  [...new TextEncoder().encode(text)].map((byte) => (/[\w.-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `~${byte.toString(16).padStart(2, "0")}`)).join("");

export function unquote(text: string): string {
  const bytes = text.match(/~[0-9a-fA-F]{2}|[^]/g)?.map((part) => (part.length === 3 ? parseInt(part.slice(1), 16) : part.charCodeAt(0))) ?? [];
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

export function readOverlay(text: string): Overlay {
  const [first = "", ...rest] = text.split(";");
  const [kind = "", content = ""] = split(first);
  return { kind, content: unquote(content), options: Object.fromEntries(rest.map(split)) };
}

export function writeOverlay({ kind, content, options }: Overlay): string {
  const kept = Object.entries(options).filter(([, value]) => value !== "");
  return [`${kind}:${quote(content)}`, ...kept.map(([name, value]) => `${name}:${value}`)].join(";");
}

const split = (pair: string): [string, string] => {
  const at = pair.indexOf(":");
  return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
};
