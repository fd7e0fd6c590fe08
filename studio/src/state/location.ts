// The state that is in the address: the filter as the query, the open image as the fragment.

import { signal } from "@preact/signals";

import { ALL, type Filter, fromQuery, toQuery } from "./filter";
import * as library from "./library";
import { sayError } from "./toasts";

const fragment = (): string => location.hash.slice(1);

// "#ID" is an image, "#ID/TRANSFORMATION" its playground.
const fragmentId = (): string => fragment().split("/")[0] ?? "";
const fragmentText = (): string | null => {
  const [, ...rest] = fragment().split("/");
  return rest.length ? decodeURIComponent(rest.join("/")) : null;
};

export const openId = signal("");
// The transformation of the playground; null while it is closed.
export const tried = signal<string | null>(null);

export function tryTransformation(text: string | null): void {
  const rest = text === null ? "" : `/${encodeURIComponent(text)}`;
  history.replaceState(null, "", `#${openId.peek()}${rest}`);
  tried.value = text;
}

// The key of the image whose details were closed: its card gets the focus.
export const left = signal<string | null>(null);

export function open(id: string): void {
  history.pushState(null, "", `#${id}`);
  openId.value = id;
}

// Shows another image in the same dialog; "back" still leaves the dialog.
export function replace(id: string): void {
  history.replaceState(null, "", `#${id}`);
  openId.value = id;
}

// Closes the details, or only if they show the image ``id``.
export function close(id?: string): void {
  if (!openId.peek() || (id !== undefined && openId.peek() !== id)) return;
  history.replaceState(null, "", location.pathname + location.search);
  openId.value = "";
  tried.value = null;
}

const readFilter = (): Filter => fromQuery(new URLSearchParams(location.search));

// Changes some of what the library shows. Another folder, or other similar images, are a page of their own:
// "back" leads to the one before.
export function filterBy(changed: Partial<Filter>): void {
  const before = library.filter.peek();
  const filter = { ...before, ...changed };
  const query = toQuery(filter);
  const address = location.pathname + (query.size ? `?${query}` : "") + location.hash;
  const isOther = filter.folder !== before.folder || filter.near !== before.near;
  history[isOther ? "pushState" : "replaceState"](null, "", address);
  library.filterBy(filter).catch(sayError);
}

export const openFolder = (folder: string): void => filterBy({ ...ALL, sort: library.filter.peek().sort, folder });

function readFragment(): void {
  openId.value = fragmentId();
  tried.value = fragmentText();
}

export function start(): void {
  library.filter.value = readFilter();
  readFragment();
  addEventListener("hashchange", readFragment);
  addEventListener("popstate", () => {
    readFragment();
    const filter = readFilter();
    if (JSON.stringify(filter) !== JSON.stringify(library.filter.peek())) library.filterBy(filter).catch(sayError);
  });
}
