// The playground: every parameter of transformations with a preview, and what to copy from it.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import * as api from "../api/trial";
import type { Image, Parameter } from "../api/client";
import { fileName } from "../labels";
import { tried, tryTransformation } from "../state/location";
import { IDEAS, type Start, ofRecipe } from "../state/starts";
import { EMPTY, type Values, toText, toValues } from "../state/trial";
import { sayError } from "../state/toasts";
import "../styles/playground.css";
import { Comparison, usePreview } from "./Comparison";
import { Control } from "./Control";
import { Dialog } from "./Dialog";
import { FocalPoint } from "./FocalPoint";
import { GravityPad } from "./GravityPad";
import { Overlays } from "./Overlays";
import { Snippets } from "./Snippets";

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

export function Playground({ image }: { image: Image }) {
  const [table, setTable] = useState<api.Table>({ parameters: [], overlays: null });
  useEffect(() => void api.table().then(setTable, sayError), []);
  const [history, setHistory] = useState(EMPTY);
  const text = tried.value ?? "";
  const values = toValues(text, table.parameters);
  const { result, problem, isBusy } = usePreview(image.id, text);

  const change = (next: string) => {
    if (next === text) return;
    setHistory({ past: [...history.past, text], future: [] });
    tryTransformation(next);
  };
  const step = (from: "past" | "future", to: "past" | "future") => {
    const target = history[from].at(-1);
    if (target === undefined) return;
    setHistory({ ...history, [from]: history[from].slice(0, -1), [to]: [...history[to], text] });
    tryTransformation(target);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || isWriting(event.target)) return;
    event.preventDefault();
    if (event.shiftKey) step("future", "past");
    else step("past", "future");
  };
  return (
    <Dialog class="playground" id="playground" labelledBy="playground-name" onClose={() => tryTransformation(null)} onKeyDown={onKeyDown}>
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
          <Comparison image={image} result={result} isBusy={isBusy} problem={problem} />
          <Snippets image={image} text={result?.text ?? text} />
        </div>
        <div class="controls">
          <Starts text={text} onChoose={change} />
          <Controls image={image} table={table} values={values} onChange={(next) => change(toText(next, table.parameters))} />
        </div>
      </div>
    </Dialog>
  );
}

// Fields have an undo of their own.
const isWriting = (target: EventTarget | null) =>
  target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && ["text", "number"].includes(target.type));

function Starts({ text, onChoose }: { text: string; onChoose(text: string): void }) {
  const [presets, setPresets] = useState<Start[]>([]);
  useEffect(() => void api.recipe().then((recipe) => setPresets(ofRecipe(recipe)), sayError), []);
  const chips = (starts: readonly Start[]) =>
    starts.map((start) => (
      <button key={start.title} type="button" class="chip" aria-pressed={start.text === text} title={start.text} onClick={() => onChoose(start.text)}>
        {start.title}
      </button>
    ));
  return (
    <section class="starts" aria-label="Start from">
      <p class="note">Start from</p>
      <div class="chips">{chips(IDEAS)}</div>
      {presets.length > 0 && (
        <>
          <p class="note">Presets of the recipe</p>
          <div class="chips">{chips(presets)}</div>
        </>
      )}
    </section>
  );
}

interface ControlsProps {
  image: Image;
  table: api.Table;
  values: Values;
  onChange(values: Values): void;
}

function Controls({ image, table, values, onChange }: ControlsProps) {
  const sections = useMemo(() => parts(table.parameters), [table]);
  const set = (name: string) => (value: string) => onChange({ ...values, [name]: value });
  // What has a better control than its type alone tells.
  const special = (name: string, value: string): ComponentChildren => {
    if (name === "g") return <GravityPad name="gravity" value={value || "centre"} onChange={set(name)} />;
    if (name === "fp") return <FocalPoint image={image} value={value} onChange={set(name)} />;
    if (name === "over") return <Overlays value={value} prefix={table.overlays} onChange={set(name)} />;
    return null;
  };
  return (
    <>
      {sections.map(({ title, parameters }) => {
        const count = parameters.filter(({ name }) => values[name]).length;
        return (
          <details key={title} open={OPEN.has(title)}>
            <summary>
              {title}
              {count > 0 && <span class="count"> {count} set</span>}
            </summary>
            {parameters.map((parameter) => {
              const value = values[parameter.name] ?? "";
              return (
                <Control key={parameter.name} parameter={parameter} value={value} onChange={set(parameter.name)}>
                  {special(parameter.name, value)}
                </Control>
              );
            })}
          </details>
        );
      })}
    </>
  );
}

function parts(table: readonly Parameter[]): { title: string; parameters: Parameter[] }[] {
  const found: { title: string; parameters: Parameter[] }[] = [];
  for (const parameter of table) {
    const title = PARTS.find(([first]) => first === parameter.name)?.[1];
    if (title || !found.length) found.push({ title: title ?? "Parameters", parameters: [] });
    found.at(-1)!.parameters.push(parameter);
  }
  return found;
}
