// The state that is in the address: the filter as the query, the open image as the fragment.

import { signal } from "@preact/signals";

import * as library from "./library";
import { sayError } from "./toasts";

const fragment = (): string => location.hash.slice(1);

export const openId = signal(fragment());

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
    openId.value = fragment();
  });
  addEventListener("popstate", () => {
    openId.value = fragment();
    const filter = readFilter();
    if (JSON.stringify(filter) !== JSON.stringify(library.filter.peek())) library.filterBy(filter).catch(sayError);
  });
}
