// Which page of the studio is shown: the fragment "#/recipe" is the recipe, any other one the library.

import { signal } from "@preact/signals";

export const PAGES = { library: "Library", recipe: "Recipe", server: "Server" } as const;
export type PageName = keyof typeof PAGES;

const named = (): PageName => {
  const name = location.hash.slice(2);
  return location.hash.startsWith("#/") && name in PAGES ? (name as PageName) : "library";
};

export const shownPage = signal<PageName>("library");

export const pageAddress = (name: PageName): string => (name === "library" ? "#" : `#/${name}`);

export function start(): void {
  const update = () => (shownPage.value = named());
  update();
  addEventListener("hashchange", update);
  addEventListener("popstate", update);
}
