// A transformation that is being tried: the value of each parameter as text, in the order of the table, with
// undo and redo.

import type { Parameter } from "../api/client";

export type Values = Readonly<Record<string, string>>;

// Values of a parameter that may be repeated are lines.
const REPEATED = "\n";

export function toText(values: Values, table: readonly Parameter[]): string {
  return table.flatMap(({ name, repeatable }) => pairs(name, values[name] ?? "", repeatable)).join();
}

const pairs = (name: string, value: string, isRepeatable: boolean): string[] =>
  (isRepeatable ? value.split(REPEATED) : [value]).filter(Boolean).map((item) => `${name}=${item}`);

export function toValues(text: string, table: readonly Parameter[]): Values {
  const known = new Map(table.map((parameter) => [parameter.name, parameter]));
  const values: Record<string, string> = {};
  for (const pair of text.split(",")) {
    const [name = "", ...rest] = pair.split("=");
    const before = values[name];
    if (!known.has(name)) continue;
    values[name] = known.get(name)!.repeatable && before ? before + REPEATED + rest.join("=") : rest.join("=");
  }
  return values;
}

export interface History {
  past: readonly string[];
  future: readonly string[];
}

export const EMPTY: History = { past: [], future: [] };
