// Tokens of one line of TOML, for colours only: the server reads it.

export interface Token {
  kind: "table" | "key" | "text" | "number" | "comment" | null;
  text: string;
}

const TOKENS: readonly [NonNullable<Token["kind"]>, string][] = [
  ["comment", "#.*"],
  ["table", "^\\s*\\[\\[?[^\\]]*\\]\\]?"],
  ["key", "[\\w.-]+(?=\\s*=)"],
  ["text", `"(?:[^"\\\\]|\\\\.)*"?|'[^']*'?`],
  ["number", "\\b(?:true|false|[+-]?\\d[\\d_.]*)\\b"],
];
const PATTERN = new RegExp(TOKENS.map(([, pattern]) => `(${pattern})`).join("|"), "g");

export function highlighted(line: string): Token[] {
  const tokens: Token[] = [];
  let end = 0;
  for (const match of line.matchAll(PATTERN)) {
    if (match.index > end) tokens.push({ kind: null, text: line.slice(end, match.index) });
    const index = match.slice(1).findIndex((group) => group !== undefined);
    tokens.push({ kind: TOKENS[index]![0], text: match[0] });
    end = match.index + match[0].length;
  }
  if (end < line.length) tokens.push({ kind: null, text: line.slice(end) });
  return tokens;
}
