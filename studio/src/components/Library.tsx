// The library: filters, the grid, and what is said where it has nothing to show.

import { useEffect, useRef, useState } from "preact/hooks";

import { counted } from "../labels";
import * as library from "../state/library";
import { filterBy } from "../state/location";
import { hasDialog } from "./Dialog";
import { Empty } from "./Empty";
import { Grid } from "./Grid";

const TYPING_MILLISECONDS = 200;

const STATUSES = [
  ["", "All"],
  ["processed", "Ready"],
  ["processing", "Processing"],
  ["refused", "Refused"],
] as const;

export function Library() {
  if (!library.isLoaded.value) return null;
  const isEmpty = library.shown.value.length === 0;
  if (isEmpty && !library.isFiltered.value && !library.waiting.value.length) return <Empty />;
  return (
    <section id="library" aria-label="Images">
      <Filters />
      <Waiting />
      <Grid />
      {isEmpty && library.isFiltered.value && (
        <p class="nothing" id="nothing">
          No image matches.{" "}
          <button class="link" type="button" onClick={() => filterBy({ search: "", status: "" })}>
            Show all
          </button>
        </p>
      )}
      <More />
    </section>
  );
}

function Filters() {
  const { search, status } = library.filter.value;
  const [typed, setTyped] = useState(search);
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setTyped(search), [search]);
  useTypeToSearch(input);
  const onInput = (value: string) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => filterBy({ ...library.filter.peek(), search: value }), TYPING_MILLISECONDS);
  };
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <label class="search">
        <span class="unseen">Search images by any part of their name</span>
        <input
          ref={input}
          type="search"
          placeholder="Search by name"
          autocomplete="off"
          spellcheck={false}
          value={typed}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      </label>
      <fieldset class="choices">
        <legend class="unseen">Show</legend>
        {STATUSES.map(([value, label]) => (
          <label key={value}>
            <input
              type="radio"
              name="status"
              value={value}
              checked={status === value}
              onChange={() => filterBy({ ...library.filter.peek(), status: value })}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <Total />
    </form>
  );
}

function Total() {
  const total = library.total.value;
  return total === null ? null : <output class="total">{counted(total, "image", "images")}</output>;
}

// A letter that is typed anywhere on the page goes to the search; escape leaves it.
function useTypeToSearch(input: { current: HTMLInputElement | null }): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const field = input.current;
      if (!field || hasDialog() || event.ctrlKey || event.metaKey || event.altKey) return;
      const isWriting = event.target instanceof HTMLInputElement && event.target.type !== "radio";
      if (event.key === "Escape" && event.target === field) return field.blur();
      if (!isWriting && (event.key === "/" || /^[\p{L}\p{N}]$/u.test(event.key))) {
        if (event.key === "/") event.preventDefault();
        field.focus();
      }
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

// Images of others that would move the grid.
function Waiting() {
  const count = library.waiting.value.length;
  if (!count) return null;
  const show = () => {
    library.showWaiting();
    scrollTo({ top: 0 });
  };
  return (
    <p class="waiting">
      <button class="button primary pill" type="button" onClick={show}>
        Show {counted(count, "new image", "new images")}
      </button>
    </p>
  );
}

function More() {
  const error = library.loadError.value;
  if (error) {
    return (
      <p class="more" role="alert">
        {error}{" "}
        <button class="link" type="button" onClick={() => void library.loadMore()}>
          Try again
        </button>
      </p>
    );
  }
  return library.isLoadingMore.value ? <p class="more">Loading more…</p> : null;
}
