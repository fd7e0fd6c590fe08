// The state that is in the address: the filter as the query, the open image as the fragment.

import { signal } from "@preact/signals";

import * as library from "./library";
import { sayError } from "./toasts";

const fragment = (): string => location.hash.slice(1);

// "#ID" is an image, "#ID/TRANSFORMATION" its playground.
const fragmentId = (): string => fragment().split("/")[0] ?? "";
const fragmentText = (): string | null => {
  const [, ...rest] = fragment().split("/");
  return rest.length ? decodeURIComponent(rest.join("/")) : null;
};

export const openId = signal(fragmentId());
// The transformation of the playground; null while it is closed.
export const tried = signal<string | null>(fragmentText());

export function tryTransformation(text: string | null): void {
  const rest = text === null ? "" : `/${encodeURIComponent(text)}`;
  history.replaceState(null, "", `#${openId.peek()}${rest}`);
  tried.value = text;
}

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

function readFilter(): typeof library.filter.value {
  const query = new URLSearchParams(location.search);
  return { search: query.get("search") ?? "", status: query.get("status") ?? "" };
}

export function filterBy(filter: typeof library.filter.value): void {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
  const search = query.size ? `?${query}` : "";
  history.replaceState(null, "", location.pathname + search + location.hash);
  library.filterBy(filter).catch(sayError);
}

export function start(): void {
  library.filter.value = readFilter();
  addEventListener("hashchange", () => {
    openId.value = fragmentId();
    tried.value = fragmentText();
  });
  addEventListener("popstate", () => {
    openId.value = fragmentId();
    tried.value = fragmentText();
    const filter = readFilter();
    if (JSON.stringify(filter) !== JSON.stringify(library.filter.peek())) library.filterBy(filter).catch(sayError);
  });
}
