// Search, filters and order of the library.

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { isOnAws } from "../api/aws";
import { FORMATS, counted } from "../labels";
import { ALL, type Filter, isNarrowed } from "../state/filter";
import * as library from "../state/library";
import { filterBy } from "../state/location";
import { hasDialog } from "./Dialog";

const TYPING_MILLISECONDS = 200;

type Choices = readonly (readonly [value: string, label: string])[];

const STATUSES: Choices = [
  ["", "All"],
  ["processed", "Ready"],
  ["processing", "Processing"],
  ["refused", "Refused"],
];

const SELECTS: readonly { name: keyof Filter; label: string; choices: Choices }[] = [
  {
    name: "sort",
    label: "Order",
    choices: [
      ["", "Newest first"],
      ["name", "By name"],
      ["size", "Largest first"],
      ["saving", "Most saved first"],
    ],
  },
  { name: "format", label: "Format", choices: [["", "Any format"], ...Object.entries(FORMATS)] },
  {
    name: "size",
    label: "Size",
    choices: [
      ["", "Any size"],
      ["small", "Below 100 kB"],
      ["medium", "100 kB to 1 MB"],
      ["large", "1 to 10 MB"],
      ["huge", "10 MB and more"],
    ],
  },
  {
    name: "date",
    label: "Added",
    choices: [
      ["", "Any time"],
      ["day", "Last 24 hours"],
      ["week", "Last 7 days"],
      ["month", "Last 30 days"],
      ["year", "Last year"],
    ],
  },
];

// The others need indexes that the table does not have.
const ON_AWS: readonly (keyof Filter)[] = ["date"];

export function Filters() {
  const filter = library.filter.value;
  const isNear = Boolean(filter.near);
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <Search search={filter.search} />
      <fieldset class="choices" disabled={isNear}>
        <legend class="unseen">Show</legend>
        {STATUSES.map(([value, label]) => (
          <label key={value}>
            <input
              type="radio"
              name="status"
              value={value}
              checked={filter.status === value}
              onChange={() => filterBy({ status: value })}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      <div class="selects">
        {SELECTS.filter(({ name }) => !isOnAws || ON_AWS.includes(name)).map(({ name, label, choices }) => (
          <label key={name} class={filter[name] ? "pick set" : "pick"}>
            <span class="unseen">{label}</span>
            <select
              name={name}
              value={filter[name]}
              disabled={isNear}
              onChange={(event) => filterBy({ [name]: event.currentTarget.value })}
            >
              {choices.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </label>
        ))}
        {isNarrowed(filter) && (
          <button class="link clear" type="button" onClick={() => filterBy({ ...ALL, folder: filter.folder, sort: filter.sort })}>
            Clear
          </button>
        )}
      </div>
      <Total />
    </form>
  );
}

function Search({ search }: { search: string }) {
  const [typed, setTyped] = useState(search);
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setTyped(search), [search]);
  useTypeToSearch(input);
  const onInput = (value: string) => {
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => filterBy({ search: value, near: "" }), TYPING_MILLISECONDS);
  };
  return (
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
  );
}

function Total() {
  const total = library.total.value;
  return total === null ? null : <output class="total">{counted(total, "image", "images")}</output>;
}

// A letter that is typed anywhere on the page goes to the search; escape leaves it.
function useTypeToSearch(input: RefObject<HTMLInputElement | null>): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const field = input.current;
      if (!field || hasDialog() || event.ctrlKey || event.metaKey || event.altKey) return;
      const isWriting =
        event.target instanceof HTMLSelectElement ||
        (event.target instanceof HTMLInputElement && !["radio", "checkbox"].includes(event.target.type));
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
