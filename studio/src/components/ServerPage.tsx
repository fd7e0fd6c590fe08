// The page about the server: what it has done lately, what it stores, and the settings in force.

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { address } from "../api/client";
import * as api from "../api/server";
import { FORMATS, bytes, counted, part, refusal } from "../labels";
import { mayAdmin } from "../state/access";
import { sayError } from "../state/toasts";
import "../styles/server.css";
import { Missing } from "./Missing";
import { Plot } from "./Plot";

const REFRESH_MILLISECONDS = 10_000;
const SOON_MILLISECONDS = 700;
const SPANS = { hour: "Last hour", day: "Last day" } as const;
type Span = keyof typeof SPANS;

export function ServerPage() {
  const [span, setSpan] = useState<Span>("hour");
  const [activity, problem] = useRefreshed(api.activity, (read) => read.storage === null);
  const [health] = useRefreshed(api.health);
  if (problem && !activity) return <Missing page="Server" problem={problem} />;
  if (!activity || !health) return null;
  return (
    <section class="server" id="server" aria-labelledby="server-title">
      <header class="page-head">
        <h2 id="server-title">Server</h2>
        <Health health={health} />
        <fieldset class="choices">
          <legend class="unseen">Time</legend>
          {(Object.keys(SPANS) as Span[]).map((name) => (
            <label key={name}>
              <input type="radio" name="span" value={name} checked={span === name} onChange={() => setSpan(name)} />
              <span>{SPANS[name]}</span>
            </label>
          ))}
        </fieldset>
      </header>
      <Tiles activity={activity} series={activity[span]} />
      <div class="pair">
        <Refusals series={activity[span]} />
        <Storage storage={activity.storage} />
      </div>
      {mayAdmin.value && <Settings />}
    </section>
  );
}

// What `read` returns, read again every ten seconds while somebody looks, and soon while it is not complete.
function useRefreshed<T>(read: () => Promise<T>, isPartial: (value: T) => boolean = () => false): [T | null, Error | null] {
  const [value, setValue] = useState<T | null>(null);
  const [problem, setProblem] = useState<Error | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const refresh = async () => {
      let pause = REFRESH_MILLISECONDS;
      if (!document.hidden) {
        try {
          const latest = await read();
          setValue(latest);
          setProblem(null);
          if (isPartial(latest)) pause = SOON_MILLISECONDS;
        } catch (error) {
          setProblem(error as Error);
        }
      }
      if (!isOver) timer = setTimeout(refresh, pause);
    };
    let isOver = false;
    void refresh();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, []);
  return [value, problem];
}

function Health({ health }: { health: api.ServerHealth }) {
  return (
    <p class="health" data-status={health.status}>
      <span class="dot" aria-hidden="true" />
      <span>
        {{ ok: "Healthy", "low-disk": "Low on disk space", degraded: "Degraded" }[health.status]} · version {health.version} ·{" "}
        {bytes(health.free_bytes)} free{health.detail && `: ${health.detail}`}
      </span>
    </p>
  );
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function Tiles({ activity, series }: { activity: api.Activity; series: api.Series }) {
  const periods = Math.round((series.step === 60 ? 3600 : 86_400) / series.step);
  const of = (name: string) => series.counts[name] ?? Array<number>(periods).fill(0);
  const [processed, hits, misses, saved, queue, busy] = ["processed", "hits", "misses", "saved", "queue", "busy"].map(of) as [
    number[], number[], number[], number[], number[], number[],
  ];
  const [hitCount, missCount] = [sum(hits), sum(misses)];
  const capacity = activity.workers * series.step;
  const when = (index: number) => moment((series.start + index * series.step) * 1000, series.step);
  const texts = (singular: string, plural: string) => (value: number, index: number) => `${when(index)}: ${counted(Math.round(value), singular, plural)}`;
  return (
    <ul class="tiles">
      <Tile title="Images processed" value={sum(processed).toLocaleString("en")} note={counted(sum(of("renditions")), "rendition", "renditions")}>
        <Plot values={processed} label={`Images processed, ${counted(sum(processed), "image", "images")}`} describe={texts("image", "images")} />
      </Tile>
      <Tile title="Renditions served" value={hitCount.toLocaleString("en")} note={hitCount + missCount ? `${part(hitCount / (hitCount + missCount))} were stored` : "none yet"}>
        <Plot values={hits} label={`Renditions served, ${counted(hitCount, "response", "responses")}`} describe={texts("response", "responses")} />
      </Tile>
      <Tile title="Made on request" value={missCount.toLocaleString("en")} note="by signed URLs and previews">
        <Plot values={misses} label={`Renditions made on request, ${missCount}`} describe={texts("rendition", "renditions")} />
      </Tile>
      <Tile title="Bytes saved" value={bytes(sum(saved))} note="by one view of each new image">
        <Plot values={saved} label={`Bytes saved, ${bytes(sum(saved))}`} describe={(value, index) => `${when(index)}: ${bytes(value)}`} />
      </Tile>
      <Tile title="Queue" value={activity.backlog.toLocaleString("en")} note={`now; at most ${Math.max(...queue, 0)}`}>
        <Plot values={queue} label={`Longest queue, ${Math.max(...queue, 0)}`} describe={texts("upload", "uploads")} />
      </Tile>
      <Tile title="Workers busy" value={part(Math.min(1, sum(busy) / (capacity * periods)))} note={`of ${counted(activity.workers, "worker", "workers")}`}>
        <Plot values={busy} full={capacity} label="How busy the workers were" describe={(value, index) => `${when(index)}: ${part(Math.min(1, value / capacity))}`} />
      </Tile>
    </ul>
  );
}

const moment = (milliseconds: number, step: number) =>
  new Date(milliseconds).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", ...(step > 60 && { weekday: "short" }) });

function Tile({ title, value, note, children }: { title: string; value: string; note: string; children: ComponentChildren }) {
  return (
    <li class="tile">
      <h3>{title}</h3>
      <p class="figure">{value}</p>
      <p class="note">{note}</p>
      {children}
    </li>
  );
}

interface Share {
  name: string;
  value: number;
  text: string;
}

// Bars from left to right, the longest first.
function Shares({ shares }: { shares: Share[] }) {
  const most = Math.max(...shares.map(({ value }) => value), 1);
  return (
    <dl class="shares">
      {shares.map(({ name, value, text }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <span class="length" aria-hidden="true">
              <i style={{ width: `${(100 * value) / most}%` }} />
            </span>
            {text}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Refusals({ series }: { series: api.Series }) {
  const reasons = Object.entries(series.counts)
    .filter(([name]) => name.startsWith("refused:"))
    .map(([name, values]) => ({ name: refusal(name.slice(8)), value: sum(values), text: sum(values).toLocaleString("en") }))
    .sort((a, b) => b.value - a.value);
  return (
    <section class="panel" id="refusals">
      <h3>Refused</h3>
      {reasons.length ? <Shares shares={reasons} /> : <p class="note">Every upload could be processed.</p>}
    </section>
  );
}

function Storage({ storage }: { storage: api.Storage | null }) {
  const total = storage?.formats.reduce((whole, item) => whole + item.bytes, 0) ?? 0;
  const shares = storage?.formats.map((item) => ({
    name: FORMATS[item.format] ?? item.format.toUpperCase(),
    value: item.bytes,
    text: `${bytes(item.bytes)} · ${item.renditions.toLocaleString("en")}`,
  }));
  return (
    <section class="panel" id="storage">
      <h3>
        Stored renditions <small>{storage && bytes(total)}</small>
      </h3>
      {!shares ? <p class="note">Being counted…</p> : shares.length ? <Shares shares={shares} /> : <p class="note">None yet.</p>}
    </section>
  );
}

function Settings() {
  const [settings, setSettings] = useState<api.Setting[]>([]);
  const [isAll, setAll] = useState(false);
  useEffect(() => void api.settings().then(setSettings, sayError), []);
  const shown = settings.filter(({ source }) => isAll || source !== "default");
  return (
    <section class="panel settings" id="settings">
      <h3>Settings in force</h3>
      <p class="note">
        {isAll ? "All settings." : shown.length ? "Those that are not at their default." : "Every setting has its default."}{" "}
        <button class="link" type="button" aria-expanded={isAll} onClick={() => setAll(!isAll)}>
          {isAll ? "Show only those that are set" : `Show all ${settings.length}`}
        </button>{" "}
        · <a href={address("/docs")}>Reference of the API</a>
      </p>
      {shown.length > 0 && (
        <dl class="rows">
          {shown.map(({ name, meaning, value, source }) => (
            <div key={name}>
              <dt>
                <code>{name}</code>
                <span class="note">{meaning}</span>
              </dt>
              <dd>
                <code>{value || "not set"}</code> <span class="source" data-source={source}>{source}</span>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
