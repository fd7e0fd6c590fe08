// The playground: every parameter of transformations with a preview, and what to copy from it.

import { useEffect, useState } from "preact/hooks";

import * as api from "../api/client";
import { bytes, fileName, percent, saving, trouble } from "../labels";
import { candidates, isTransparent, source } from "../pictures";
import { tried, tryTransformation } from "../state/location";
import { EMPTY, type Values, toText, toValues } from "../state/trial";
import { say } from "../state/toasts";
import { Control } from "./Control";
import { Dialog } from "./Dialog";

const DEBOUNCE_MILLISECONDS = 300;

// The first parameter of each part of the table.
const PARTS: readonly [first: string, title: string][] = [
  ["frame", "Original"],
  ["w", "Size and crop"],
  ["norm", "Colour"],
  ["median", "Detail"],
  ["over", "Overlays, shape and padding"],
  ["q", "Encoding"],
];
// What most people change comes first.
const OPEN = new Set(["Size and crop", "Encoding"]);

interface Result {
  url: string;
  bytes: number;
  type: string;
  text: string;
  milliseconds: number;
}

export function Playground({ image }: { image: api.Image }) {
  const [table, setTable] = useState<api.Parameter[]>([]);
  useEffect(() => void api.parameters().then(setTable, (error) => say(error.message)), []);
  const [history, setHistory] = useState(EMPTY);
  const text = tried.value ?? "";
  const values = toValues(text, table);
  const { result, problem } = usePreview(image.id, text);

  const change = (next: string) => {
    setHistory({ past: [...history.past, text], future: [] });
    tryTransformation(next);
  };
  const step = (from: "past" | "future", to: "past" | "future") => {
    const target = history[from].at(-1);
    if (target === undefined) return;
    setHistory({ ...history, [from]: history[from].slice(0, -1), [to]: [...history[to], text] });
    tryTransformation(target);
  };
  return (
    <Dialog class="playground" id="playground" labelledBy="playground-name" onClose={() => tryTransformation(null)}>
      <header class="bar">
        <h2 id="playground-name" tabIndex={-1} autofocus>
          {fileName(image.original)}
        </h2>
        <button class="button small" type="button" disabled={!history.past.length} onClick={() => step("past", "future")}>
          Undo
        </button>
        <button class="button small" type="button" disabled={!history.future.length} onClick={() => step("future", "past")}>
          Redo
        </button>
        <button class="icon" type="button" aria-label="Close" onClick={() => tryTransformation(null)}>
          ×
        </button>
      </header>
      <div class="bench">
        <div class="view">
          <Comparison image={image} result={result} />
          <p class="verdict" role="status">
            {problem ? <span class="problem">{problem}</span> : result ? verdict(image, result) : "Rendering…"}
          </p>
          <Copies image={image} text={result?.text ?? text} />
        </div>
        <Controls table={table} values={values} onChange={(next) => change(toText(next, table))} />
      </div>
    </Dialog>
  );
}

// Renders the transformation once it has not changed for a moment. The previous result stays until then.
function usePreview(id: string, text: string): { result: Result | null; problem: string | null } {
  const [result, setResult] = useState<Result | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      const started = performance.now();
      try {
        const { body, text: canonical } = await api.preview(id, text, controller.signal);
        const milliseconds = performance.now() - started;
        setResult({ url: URL.createObjectURL(body), bytes: body.size, type: body.type, text: canonical, milliseconds });
        setProblem(null);
      } catch (error) {
        if (controller.signal.aborted) return;
        setProblem(error instanceof api.Problem ? trouble(error.problem) : (error as Error).message);
      }
    }, DEBOUNCE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [id, text]);
  useEffect(() => () => void (result && URL.revokeObjectURL(result.url)), [result]);
  return { result, problem };
}

function verdict(image: api.Image, { bytes: count, type, milliseconds }: Result): string {
  const saved = image.facts ? ` · ${percent(saving({ bytes: count }, image.facts))} compared to the original` : "";
  return `${type.replace("image/", "").toUpperCase()} · ${bytes(count)}${saved} · ${Math.round(milliseconds)} ms`;
}

// The original to the left of the handle, the result to its right.
function Comparison({ image, result }: { image: api.Image; result: Result | null }) {
  const [at, setAt] = useState(50);
  const before = candidates(image, 1280, true)[0];
  return (
    <div class={isTransparent(image) ? "comparison transparent" : "comparison"}>
      {result && <img class="after" src={result.url} alt="The result" />}
      {before && result && (
        <>
          <img class="before" src={source(before)} alt="The original" style={{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
          <span class="handle" aria-hidden="true" style={{ left: `${at}%` }} />
          <input type="range" min={0} max={100} value={at} aria-label="How much of the original is shown" onInput={(event) => setAt(Number(event.currentTarget.value))} />
        </>
      )}
    </div>
  );
}

interface ControlsProps {
  table: readonly api.Parameter[];
  values: Values;
  onChange(values: Values): void;
}

function Controls({ table, values, onChange }: ControlsProps) {
  return (
    <div class="controls">
      {parts(table).map(({ title, parameters }) => {
        const count = parameters.filter(({ name }) => values[name]).length;
        return (
          <details key={title} open={OPEN.has(title)}>
            <summary>
              {title}
              {count > 0 && <span class="count"> {count} set</span>}
            </summary>
            {parameters.map((parameter) => (
              <Control
                key={parameter.name}
                parameter={parameter}
                value={values[parameter.name] ?? ""}
                onChange={(value) => onChange({ ...values, [parameter.name]: value })}
              />
            ))}
          </details>
        );
      })}
    </div>
  );
}

function parts(table: readonly api.Parameter[]): { title: string; parameters: api.Parameter[] }[] {
  const found: { title: string; parameters: api.Parameter[] }[] = [];
  for (const parameter of table) {
    const title = PARTS.find(([first]) => first === parameter.name)?.[1];
    if (title || !found.length) found.push({ title: title ?? "Parameters", parameters: [] });
    found.at(-1)!.parameters.push(parameter);
  }
  return found;
}

// Texts that make the same rendition elsewhere.
function Copies({ image, text }: { image: api.Image; text: string }) {
  const url = useSignedUrl(image.id, text);
  const format = /(?:^|,)fm=(\w+)/.exec(text)?.[1] ?? "jpeg";
  const name = fileName(image.original);
  const lines: [string, string | null][] = [
    ["Transformation", text],
    ["URL", url && new URL(api.address(url), location.href).href],
    ["HTML", url && `<img src="${new URL(api.address(url), location.href).href}" alt="">`],
    ["Command", `image-processor transform ${quoted(name)} ${quoted(text)} --out rendition.${format}`],
    ["Python", `image_processor.transform(${JSON.stringify(name)}, ${JSON.stringify(text)})`],
    ["Recipe", `[presets.mine]\ntransformations = [${JSON.stringify(text)}]`],
    ["Link to this page", location.href],
  ];
  return (
    <dl class="copies">
      {lines.map(([title, line]) => line && <Copy key={title} title={title} line={line} />)}
    </dl>
  );
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

function Copy({ title, line }: { title: string; line: string }) {
  const copy = () => navigator.clipboard.writeText(line).then(() => say(`${title}: copied.`), (error) => say(error.message));
  return (
    <>
      <dt>{title}</dt>
      <dd>
        <code>{line}</code>
        <button class="button small" type="button" aria-label={`Copy ${title}`} onClick={copy}>
          Copy
        </button>
      </dd>
    </>
  );
}

function useSignedUrl(id: string, text: string): string | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      api.signedUrl(id, text, controller.signal).then(setUrl, () => setUrl(null));
    }, 2 * DEBOUNCE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      controller.abort();
      setUrl(null);
    };
  }, [id, text]);
  return url;
}
