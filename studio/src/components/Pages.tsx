// The pages of the studio, and the links to them. All but the library are loaded when they are first opened.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { address } from "../api/client";
import { PAGES, type PageName, pageAddress, shownPage } from "../state/pages";
import { sayError } from "../state/toasts";
import { Library } from "./Library";
import { useTitle } from "./useTitle";

const LAZY: Partial<Record<PageName, () => Promise<ComponentType>>> = {
  recipe: () => import("./RecipePage").then(({ RecipePage }) => RecipePage),
  server: () => import("./ServerPage").then(({ ServerPage }) => ServerPage),
};

export function Navigation() {
  const shown = shownPage.value;
  return (
    <nav class="pages" aria-label="Pages">
      {(Object.keys(PAGES) as PageName[]).map((name) => (
        <a key={name} href={pageAddress(name)} aria-current={name === shown ? "page" : undefined}>
          {PAGES[name]}
        </a>
      ))}
      <a href={address("/docs")}>API</a>
    </nav>
  );
}

export function Pages() {
  const name = shownPage.value;
  const load = LAZY[name];
  useTitle(load ? PAGES[name] : null);
  return load ? <Lazy key={name} load={load} /> : <Library />;
}

function Lazy({ load }: { load: () => Promise<ComponentType> }) {
  const [Loaded, setLoaded] = useState<ComponentType | null>(null);
  useEffect(() => {
    scrollTo({ top: 0 });
    load().then((component) => setLoaded(() => component), sayError);
  }, []);
  return Loaded && <Loaded />;
}
