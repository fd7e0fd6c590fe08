// Texts that make or show the same rendition elsewhere.

import { useEffect, useState } from "preact/hooks";

import * as api from "../api/trial";
import { address, type Image } from "../api/client";
import { fileName } from "../labels";
import { mayWrite } from "../state/access";
import { copy } from "../state/copying";

const DEBOUNCE_MILLISECONDS = 500;
const KEYS = "IMAGE_PROCESSOR_SIGNING_KEYS";
const DIALECTS: Record<string, string> = { thumbor: "thumbor", imgproxy: "imgproxy", dit: "DIT" };

interface Snippet {
  title: string;
  text: string;
  note?: string;
}

export function Snippets({ image, text }: { image: Image; text: string }) {
  const { urls, markup, problem, isStale } = useUrls(image.id, text);
  const [chosen, setChosen] = useState("Signed URL");
  const snippets = [...ofUrls(urls), ...ofMarkup(markup), ...ofText(image, text, urls)];
  const shown = snippets.find(({ title }) => title === chosen) ?? snippets[0]!;
  return (
    <section class="snippets" id="snippets" aria-labelledby="snippets-title">
      <h3 id="snippets-title">Copy as</h3>
      <div class="kinds" role="group" aria-label="What to copy">
        {snippets.map(({ title }) => (
          <button key={title} type="button" aria-pressed={title === shown.title} onClick={() => setChosen(title)}>
            {title}
          </button>
        ))}
      </div>
      <div class="snippet">
        <pre tabIndex={0} aria-label={shown.title}>
          <code>{shown.text}</code>
        </pre>
        <button class="button small" type="button" aria-label={`Copy ${shown.title}`} disabled={isStale} onClick={() => void copy(shown.text, shown.title)}>
          Copy
        </button>
      </div>
      {shown.note && <p class="note">{shown.note}</p>}
      {problem && <p class="note">{problem}</p>}
    </section>
  );
}

const base = () => new URL(address("/renditions"), location.href).href;

interface Found {
  // The transformation that this is about.
  readonly text: string;
  readonly urls: api.Urls | null;
  readonly markup: api.Markup | null;
  readonly problem: string | null;
}

function useUrls(id: string, text: string): Found & { isStale: boolean } {
  const [found, setFound] = useState<Found>({ text: "", urls: null, markup: null, problem: null });
  useEffect(() => {
    if (!mayWrite.value) return setFound({ text, urls: null, markup: null, problem: "Signed URLs need a token with the scope write." });
    let isCurrent = true;
    const timer = setTimeout(async () => {
      const [urls, markup] = await Promise.all([orNull(api.urls(id, text)), orNull(api.markup(id, text, base()))]);
      if (isCurrent) setFound({ text, urls, markup, problem: urls && obstacle(urls) });
    }, DEBOUNCE_MILLISECONDS);
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [id, text]);
  return { ...found, isStale: found.text !== text };
}

const orNull = <T,>(found: Promise<T>): Promise<T | null> => found.catch(() => null);

// Why there is no URL that opens, and what to do.
function obstacle({ url, reason }: api.Urls): string | null {
  if (url || !reason) return null;
  const isKeyless = reason.includes(KEYS);
  const cure = `Start the server with ${KEYS}=ID:SECRET, or give the rendition a preset in the recipe, whose URLs need no signature.`;
  return isKeyless ? `No URL of this rendition opens yet: it needs a signature, and the server has no key. ${cure}` : `No URL of this rendition opens: ${reason}.`;
}

const absolute = (path: string) => new URL(address(path), location.href).href;

function ofUrls(urls: api.Urls | null): Snippet[] {
  if (!urls) return [];
  const others = urls.equivalents.map(({ dialect, path, enabled }) => ({
    title: DIALECTS[dialect] ?? dialect,
    text: absolute(path),
    note: enabled
      ? "This server answers such URLs; they need the product's own signature, unless unsigned URLs are allowed."
      : `The same in ${DIALECTS[dialect] ?? dialect}. This server answers such URLs with IMAGE_PROCESSOR_DIALECTS=${dialect}.`,
  }));
  const signed = urls.url && { title: urls.public ? "URL" : "Signed URL", text: absolute(urls.url), note: urls.public ? "A preset declares it: anybody may open it." : "It does not expire. The key stays on the server." };
  return [
    ...(signed ? [signed] : []),
    // Without a key nobody can sign it.
    ...(urls.url ? [{ title: "Canonical URL", text: absolute(urls.canonical), ...(!urls.public && { note: "What is signed. It does not open without a signature, unless the server allows that." }) }] : []),
    ...others,
  ];
}

function ofMarkup(markup: api.Markup | null): Snippet[] {
  if (!markup) return [];
  return [
    { title: "<img srcset>", text: markup.img },
    { title: "<picture>", text: markup.picture },
    ...(markup.loader ? [{ title: "Next.js loader", text: markup.loader }] : []),
    { title: "CSS image-set", text: markup.css },
  ];
}

function ofText(image: Image, text: string, urls: api.Urls | null): Snippet[] {
  const canonical = urls?.transformation ?? text;
  const format = /(?:^|,)fm=(\w+)/.exec(canonical)?.[1] ?? "jpeg";
  const name = fileName(image.original);
  return [
    { title: "Command line", text: `image-processor transform ${quoted(name)} ${quoted(canonical)} --out rendition.${format}` },
    { title: "Python", text: `import image_processor\n\nimage_processor.transform(${JSON.stringify(name)}, ${JSON.stringify(canonical)})` },
    { title: "Recipe", text: `[presets.mine]\ntransformations = [${JSON.stringify(canonical)}]\n\n[[rules]]\nmatch = "**"\npresets = ["mine"]\n` },
    { title: "Transformation", text: canonical },
    { title: "Link to this page", text: location.href },
  ];
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
