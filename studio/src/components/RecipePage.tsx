// The recipe: its text with every problem beside its line, what it would change, and saving it.

import { useEffect, useRef, useState } from "preact/hooks";

import { Problem } from "../api/client";
import * as api from "../api/server";
import { counted } from "../labels";
import { mayAdmin, mayWrite } from "../state/access";
import { copy } from "../state/copying";
import { say, sayError } from "../state/toasts";
import { highlighted } from "../toml";
import "../styles/recipe.css";
import { Missing } from "./Missing";

const CHECK_MILLISECONDS = 250;
const PLAN_MILLISECONDS = 600;

export function RecipePage() {
  const [source, setSource] = useState<api.RecipeSource | null>(null);
  const [problem, setProblem] = useState<Error | null>(null);
  useEffect(() => void api.recipeSource().then(setSource, setProblem), []);
  if (problem) return <Missing page="Recipe" problem={problem} />;
  return source && <Editing source={source} onSaved={setSource} />;
}

interface EditingProps {
  source: api.RecipeSource;
  onSaved(source: api.RecipeSource): void;
}

function Editing({ source, onSaved }: EditingProps) {
  const [text, setText] = useState(source.text);
  const editor = useRef<HTMLTextAreaElement>(null);
  const isChanged = text !== source.text;
  const isWritable = source.writable && mayAdmin.value;
  const check = useLater(text, CHECK_MILLISECONDS, api.checkRecipe);
  const isValid = check?.problems.length === 0;
  const isPlanned = isValid && isChanged && mayWrite.value;
  const plan = useLater(isPlanned ? text : null, PLAN_MILLISECONDS, api.planRecipe);
  useUnsavedWarning(isChanged);
  const save = () =>
    api.saveRecipe(text, source.version).then((saved) => {
      onSaved(saved);
      say("The recipe is saved and in force.");
    }, sayError);
  // Somebody else may have saved another recipe meanwhile.
  const discard = () =>
    api.recipeSource().then((saved) => {
      onSaved(saved);
      setText(saved.text);
    }, sayError);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (isWritable && isValid && isChanged) void save();
  };
  return (
    <section class="recipe" id="recipe" aria-labelledby="recipe-title" onKeyDown={onKeyDown}>
      <header class="page-head">
        <h2 id="recipe-title">Recipe</h2>
        <p class="note">{source.file ? <code>{source.file}</code> : "The built-in recipe"}</p>
        <p class="actions">
          <button class="button" type="button" disabled={!isChanged} onClick={discard}>
            Discard changes
          </button>
          {isWritable ? (
            <button class="button primary" type="button" disabled={!isChanged || !isValid} onClick={() => void save()}>
              Save and use
            </button>
          ) : (
            <button class="button primary" type="button" onClick={() => void copy(text, "Recipe")}>
              Copy the recipe
            </button>
          )}
        </p>
      </header>
      <div class="halves">
        <Editor editor={editor} text={text} problems={check?.problems ?? []} onChange={setText} />
        <div class="side">
          <Verdict check={check} editor={editor} />
          {isPlanned && <Changes plan={plan} />}
          {!isWritable && <p class="note panel">{sentence(source.reason)}</p>}
          {check?.recipe && <Meaning recipe={check.recipe} />}
        </div>
      </div>
    </section>
  );
}

const sentence = (text: string | null) => `Saving here is off: ${text ?? "it needs a token with the scope admin"}.`;

// What the server says to `text`, once it has not changed for a moment; the last answer stays meanwhile.
function useLater<T>(text: string | null, milliseconds: number, ask: (text: string, signal: AbortSignal) => Promise<T>): T | null {
  const [answer, setAnswer] = useState<T | null>(null);
  useEffect(() => {
    if (text === null) return setAnswer(null);
    const controller = new AbortController();
    const timer = setTimeout(() => {
      ask(text, controller.signal).then(setAnswer, (error) => {
        if (controller.signal.aborted) return;
        if (!(error instanceof Problem)) throw error;
        sayError(error);
      });
    }, milliseconds);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text]);
  return answer;
}

function useUnsavedWarning(isChanged: boolean): void {
  useEffect(() => {
    if (!isChanged) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isChanged]);
}

interface EditorProps {
  editor: { current: HTMLTextAreaElement | null };
  text: string;
  problems: readonly api.RecipeProblem[];
  onChange(text: string): void;
}

// The text is drawn in colours below a transparent field, in which it is edited.
function Editor({ editor, text, problems, onChange }: EditorProps) {
  const wrong = new Map(problems.map((problem) => [problem.line, problem]));
  const lines = text.split("\n");
  return (
    <div class="editor">
      <div class="paper" style={{ "--lines": lines.length }}>
        <pre aria-hidden="true">
          {lines.map((line, index) => {
            const problem = wrong.get(index + 1);
            return (
              <span key={index} class={problem ? "line wrong" : "line"}>
                {highlighted(line).map(({ kind, text: token }, at) => (kind ? <i key={at} class={kind}>{token}</i> : token))}
                {problem && <em> expected {problem.expected}</em>}
                {"\n"}
              </span>
            );
          })}
        </pre>
        <textarea
          ref={editor}
          id="recipe-text"
          aria-label="The recipe, as TOML"
          aria-invalid={problems.length > 0}
          aria-describedby="recipe-verdict"
          spellcheck={false}
          autocapitalize="off"
          wrap="off"
          value={text}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      </div>
    </div>
  );
}

// Puts the cursor at the start of a line.
function goTo(editor: HTMLTextAreaElement | null, line: number | null): void {
  if (!editor || line === null) return;
  const start = editor.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = editor.value.indexOf("\n", start);
  editor.focus();
  editor.setSelectionRange(start, end < 0 ? editor.value.length : end);
}

function Verdict({ check, editor }: { check: api.RecipeCheck | null; editor: EditorProps["editor"] }) {
  const problems = check?.problems ?? [];
  return (
    <section class={problems.length ? "panel checked wrong" : "panel checked"}>
      <div role="status">
        <h3 id="recipe-verdict">{!check ? "Checking…" : problems.length ? counted(problems.length, "problem", "problems") : "The recipe is valid."}</h3>
      </div>
      {problems.length > 0 && (
        <ol class="problems">
          {problems.map(({ line, name, expected, got }) => (
            <li key={`${line} ${name} ${expected}`}>
              <button class="link" type="button" disabled={line === null} onClick={() => goTo(editor.current, line)}>
                {line === null ? "The recipe" : `Line ${line}`}
              </button>
              : expected {expected} for <code>{name}</code>, got {got}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Changes({ plan }: { plan: api.DryRun | null }) {
  return (
    <section class="panel" id="changes" aria-live="polite">
      <h3>What it would change</h3>
      {plan ? <Plan plan={plan} /> : <p class="note">Searching the library…</p>}
    </section>
  );
}

function Plan({ plan }: { plan: api.DryRun }) {
  const least = plan.complete ? "" : "at least ";
  if (!plan.made_anew && !plan.removed) return <p>{plan.complete ? "No image changes." : "No change found yet; the search goes on."}</p>;
  return (
    <>
      {plan.made_anew > 0 && (
        <p>
          <strong>
            {least}
            {counted(plan.made_anew, "image", "images")}
          </strong>{" "}
          would be rendered again: {counted(plan.renditions, "rendition", "renditions")}
          {plan.seconds !== null && `, about ${duration(plan.seconds)}`}.
        </p>
      )}
      {plan.removed > 0 && (
        <p>
          <strong>
            {least}
            {counted(plan.removed, "image", "images")}
          </strong>{" "}
          would lose their renditions.
        </p>
      )}
      <p class="note">For example {plan.examples.join(", ")}</p>
    </>
  );
}

function duration(seconds: number): string {
  if (seconds < 1) return "a second";
  if (seconds < 90) return counted(Math.round(seconds), "second", "seconds");
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? counted(minutes, "minute", "minutes") : counted(Math.round(minutes / 60), "hour", "hours");
}

function Meaning({ recipe }: { recipe: NonNullable<api.RecipeCheck["recipe"]> }) {
  return (
    <section class="panel" id="meaning">
      <h3>What it declares</h3>
      <dl class="presets">
        {Object.entries(recipe.presets).map(([name, transformations]) => (
          <div key={name}>
            <dt>
              <code>{name}</code>
              {recipe.private.includes(name) && <span class="source">signed</span>}
              {recipe.lazy.includes(name) && <span class="source">at first view</span>}
            </dt>
            <dd>
              {transformations.map((transformation) => (
                <code key={transformation}>{transformation}</code>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <ol class="rules">
        {recipe.rules.map(({ match, presets }, index) => (
          <li key={index}>
            <code>{match}</code> → {presets.join(", ") || "nothing"}
          </li>
        ))}
      </ol>
    </section>
  );
}
