// The result beside the original, or beside another format of it.

import { useEffect, useState } from "preact/hooks";

import * as api from "../api/trial";
import { Problem, type Image } from "../api/client";
import { FORMATS, bytes, percent, saving, trouble } from "../labels";
import { candidates, isTransparent, source } from "../pictures";
import { score } from "../score";

const DEBOUNCE_MILLISECONDS = 300;
const LOSSLESS = "png";

export interface Result extends api.Preview {
  url: string;
  format: string;
}

// Renders `text` once it has not changed for a moment. The previous result stays until then.
export function usePreview(id: string, text: string | null): { result: Result | null; problem: string | null; isBusy: boolean } {
  const [result, setResult] = useState<Result | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    if (text === null) return setResult(null);
    const controller = new AbortController();
    setBusy(true);
    const timer = setTimeout(async () => {
      try {
        const preview = await api.preview(id, text, controller.signal);
        setResult({ ...preview, url: URL.createObjectURL(preview.body), format: preview.body.type.replace("image/", "") });
        setProblem(null);
      } catch (error) {
        if (controller.signal.aborted) return;
        setProblem(error instanceof Problem ? trouble(error.problem) : (error as Error).message);
      }
      setBusy(false);
    }, DEBOUNCE_MILLISECONDS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [id, text]);
  useEffect(() => () => void (result && URL.revokeObjectURL(result.url)), [result]);
  return { result, problem, isBusy };
}

// The same transformation in another format, with that format's own quality.
export function inFormat(text: string, format: string): string {
  const own = ["fm", "q", "lossless", "effort", "prog", "chroma", "moz", "colours"];
  const kept = text.split(",").filter((pair) => !own.includes(pair.split("=")[0]!));
  return [...kept, `fm=${format}`].join();
}

// How much each result loses, in comparison with the same pixels without loss.
function useScores(id: string, results: (Result | null)[]): (number | null)[] {
  const [scores, setScores] = useState<{ of: string; values: (number | null)[] }>({ of: "", values: [] });
  const texts = results.map((result) => result?.text ?? "").join(" ");
  useEffect(() => {
    const controller = new AbortController();
    const found = results.filter((result) => result !== null);
    if (!found.length || !found.some(({ format }) => format in FORMATS && format !== LOSSLESS)) return;
    void (async () => {
      // Results that are bounded in bytes or larger than the original differ in more than the encoding.
      const reference = await api.preview(id, inFormat(found[0]!.text, LOSSLESS), controller.signal).catch(() => null);
      if (!reference) return;
      const made = await Promise.all(results.map((result) => (result ? score(reference.body, result.body, result.format).catch(() => null) : null)));
      if (!controller.signal.aborted) setScores({ of: texts, values: made });
    })();
    return () => controller.abort();
  }, [id, texts]);
  return scores.of === texts ? scores.values : [];
}

interface Props {
  image: Image;
  result: Result | null;
  isBusy: boolean;
  problem: string | null;
}

export function Comparison({ image, result, isBusy, problem }: Props) {
  const [against, setAgainst] = useState("original");
  const [isBeside, setBeside] = useState(false);
  const isOriginal = against === "original";
  const other = usePreview(image.id, isOriginal || !result ? null : inFormat(result.text, against));
  const scores = useScores(image.id, [result, isOriginal ? null : other.result]);
  const before = isOriginal ? candidates(image, 1280, true)[0] : undefined;
  const left = isOriginal ? before && source(before) : other.result?.url;
  const name = isOriginal ? "The original" : FORMATS[against]!;
  return (
    <>
      <div class="modes">
        <label>
          <span>Compare with</span>
          <select id="against" value={against} onChange={(event) => setAgainst(event.currentTarget.value)}>
            <option value="original">the original</option>
            {["avif", "webp", "jpeg", "png"].map((format) => (
              <option key={format} value={format}>
                {FORMATS[format]}
              </option>
            ))}
          </select>
        </label>
        <fieldset class="choices">
          <legend class="unseen">How to compare</legend>
          {[false, true].map((value) => (
            <label key={String(value)}>
              <input type="radio" name="beside" checked={isBeside === value} onChange={() => setBeside(value)} />
              <span>{value ? "Side by side" : "Slider"}</span>
            </label>
          ))}
        </fieldset>
      </div>
      <Pictures isTransparent={isTransparent(image)} isBusy={isBusy} left={left} leftName={name} result={result} isBeside={isBeside} />
      <div class="verdicts" role="status">
        {problem ? <p class="problem">{problem}</p> : other.problem && !isOriginal ? <p class="problem">{other.problem}</p> : null}
        {!isOriginal && other.result && <Verdict image={image} result={other.result} score={scores[1]} rival={result} />}
        {isOriginal && image.facts && (
          <p class="verdict">
            <strong>Original</strong>
            <span>
              {FORMATS[image.facts.format] ?? image.facts.format} · {bytes(image.facts.bytes)}
            </span>
          </p>
        )}
        {result ? <Verdict image={image} result={result} score={scores[0]} rival={isOriginal ? null : other.result} isResult /> : !problem && <p class="verdict">Rendering…</p>}
      </div>
      {scores.some((found) => typeof found === "number") && (
        <p class="note">The score is the engine's estimate of SSIMULACRA2, by which quality “auto” chooses: 100 is no loss, 76 what default qualities reach.</p>
      )}
    </>
  );
}

interface PicturesProps {
  isTransparent: boolean;
  isBusy: boolean;
  left: string | undefined;
  leftName: string;
  result: Result | null;
  isBeside: boolean;
}

// What it is compared with is to the left of the handle, the result to its right.
function Pictures({ isTransparent, isBusy, left, leftName, result, isBeside }: PicturesProps) {
  const [at, setAt] = useState(50);
  const classes = ["comparison", isTransparent && "transparent", isBusy && "busy", isBeside && "beside"].filter(Boolean).join(" ");
  if (isBeside) {
    return (
      <div class={classes}>
        <figure>{left && <img class="before" src={left} alt={leftName} />}</figure>
        <figure>{result && <img class="after" src={result.url} alt="The result" />}</figure>
      </div>
    );
  }
  return (
    <div class={classes}>
      {result && <img class="after" src={result.url} alt="The result" />}
      {left && result && (
        <>
          <img class="before" src={left} alt={leftName} style={{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
          <span class="handle" aria-hidden="true" style={{ left: `${at}%` }} />
          <input type="range" min={0} max={100} value={at} aria-label={`How much is shown of ${leftName}`} onInput={(event) => setAt(Number(event.currentTarget.value))} />
        </>
      )}
    </div>
  );
}

interface VerdictProps {
  image: Image;
  result: Result;
  score: number | null | undefined;
  rival: Result | null;
  isResult?: boolean;
}

function Verdict({ image, result, score: found, rival, isResult = false }: VerdictProps) {
  const { body, format, milliseconds } = result;
  const saved = image.facts && percent(saving({ bytes: body.size }, image.facts));
  const facts = [
    saved && `${saved} of the original`,
    found !== null && found !== undefined && `score about ${Math.round(found)}`,
    milliseconds === null ? "stored already" : `${Math.round(milliseconds)} ms`,
  ];
  return (
    <p class={rival && body.size < rival.body.size ? "verdict best" : "verdict"} data-result={isResult}>
      <strong>
        {FORMATS[format] ?? format.toUpperCase()} · {bytes(body.size)}
      </strong>
      <span>{facts.filter(Boolean).join(" · ")}</span>
    </p>
  );
}
