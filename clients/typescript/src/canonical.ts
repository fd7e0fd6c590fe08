// Writes parameters of a rendition as the server reads them: canonical names, values and order. The server signs
// and caches the canonical form, whatever the order, case or names of a URL's parameters. It alone checks values.

import {
  ALIASES,
  AUTO_WORDS,
  CASE_SENSITIVE,
  FOCAL_POINT,
  PARAMETER_ORDER,
  REPEATABLE,
  VALUE_ALIASES,
} from "./tables.js";

/** A value of a parameter. An array gives a repeatable parameter several times: `over: ["text:A", "text:B"]`. */
export type Value = string | number | boolean | readonly string[];

/** A text such as `w=640,fm=webp`, or parameters by name: `{w: 640, fm: "webp"}`. */
export type Transformation = string | Readonly<Record<string, Value>>;

export type Pairs = readonly (readonly [string, string])[];

const RANK = new Map(PARAMETER_ORDER.map((name, rank) => [name, rank]));
const VALUE = /^[A-Za-z0-9_.:;~-]*$/;
const WORDS: Readonly<Record<string, string>> = { true: "1", false: "0" };

/**
 * `text` as a part of a value, such as the text of an overlay or the name of a preset: characters other than
 * letters, digits, `_`, `.` and `-` become `~` and two hex digits for each byte of UTF-8.
 */
export function quote(text: string): string {
  const plain = /[A-Za-z0-9_.-]/;
  return Array.from(new TextEncoder().encode(text), (byte) => {
    const char = String.fromCharCode(byte);
    return plain.test(char) ? char : `~${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}

/** The canonical pairs. Throws a TypeError for an unknown name, a value that no URL holds, and two values of one. */
export function canonicalPairs(transformation: Transformation): Pairs {
  const valuesOf = new Map<string, string[]>();
  for (const [name, value] of expanded(rawPairs(transformation))) {
    if (!RANK.has(name)) throw new TypeError(`expected the name of a parameter such as w, got ${JSON.stringify(name)}`);
    if (!VALUE.test(value)) {
      const expected = `expected letters, digits and _ . : ; ~ - for ${name}`;
      throw new TypeError(`${expected}, got ${JSON.stringify(value)}; quote() writes others`);
    }
    const values = valuesOf.get(name) ?? [];
    valuesOf.set(name, values);
    if (REPEATABLE.includes(name) || !values.includes(value)) values.push(value);
    if (values.length > 1 && !REPEATABLE.includes(name)) {
      throw new TypeError(`expected one value for ${name}, got ${values.map((one) => JSON.stringify(one)).join(" and ")}`);
    }
  }
  const names = [...valuesOf.keys()].sort((one, other) => rank(one) - rank(other));
  return names.flatMap((name) => (valuesOf.get(name) ?? []).map((value) => [name, value] as const));
}

function rank(name: string): number {
  return RANK.get(name) ?? RANK.size;
}

function rawPairs(transformation: Transformation): [string, string][] {
  if (typeof transformation !== "string") {
    return Object.entries(transformation).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, textOf(one)]),
    );
  }
  return transformation.split(",").filter(Boolean).map((part) => {
    const at = part.indexOf("=");
    if (at < 0) throw new TypeError(`expected NAME=VALUE such as w=640, got ${JSON.stringify(part)}`);
    return [part.slice(0, at), part.slice(at + 1)];
  });
}

function textOf(value: string | number | boolean): string {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return value.toFixed(6).replace(/0+$/, "").replace(/\.$/, "");
}

/** Each pair by its canonical name; imgix' `auto` is split, its `fp-x` and `fp-y` are joined. */
function* expanded(pairs: Iterable<[string, string]>): Generator<readonly [string, string]> {
  const focal = new Map<string, string>();
  for (const [rawName, rawValue] of pairs) {
    const lower = rawName.toLowerCase();
    const name = own(ALIASES, lower) ?? lower;
    const value = canonicalValue(name, rawValue);
    if (name === "auto") {
      for (const word of value.split(":")) yield auto(word);
    } else if (FOCAL_POINT.indexOf(name) > 0) {
      focal.set(name, value);
    } else {
      yield [name, value];
    }
  }
  if (focal.size === 2) {
    yield [FOCAL_POINT[0] ?? "", FOCAL_POINT.slice(1).map((name) => focal.get(name)).join(":")];
  } else {
    yield* focal;
  }
}

function auto(word: string): readonly [string, string] {
  const pair = own(AUTO_WORDS, word);
  if (pair?.[0] === undefined || pair[1] === undefined) {
    throw new TypeError(`expected ${Object.keys(AUTO_WORDS).join(" or ")} for auto, got ${JSON.stringify(word)}`);
  }
  return [pair[0], pair[1]];
}

function canonicalValue(name: string, raw: string): string {
  const value = raw.replace(/^#/, "").replaceAll(",", ":");
  if (CASE_SENSITIVE.includes(name)) return value.replace(/~[0-9A-Fa-f]{2}/g, (escape) => escape.toLowerCase());
  const lower = value.toLowerCase();
  const word = own(WORDS, lower) ?? lower;
  return own(own(VALUE_ALIASES, name) ?? {}, word) ?? word;
}

/** The table's own value: `constructor` is no parameter. */
function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
