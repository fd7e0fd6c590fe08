// What the library shows: filters, a folder, and the order. All of it is in the address.

// Empty texts filter nothing; the empty order is that of time, the newest first.
export interface Filter {
  // Any part of the name.
  readonly search: string;
  readonly status: string;
  // The prefix of its keys, with a slash at its end.
  readonly folder: string;
  readonly sort: string;
  readonly format: string;
  readonly size: string;
  readonly date: string;
  // The id of an image: only those that look like it.
  readonly near: string;
}

export const ALL: Filter = { search: "", status: "", folder: "", sort: "", format: "", size: "", date: "", near: "" };

export const isFiltered = ({ sort: _, ...filters }: Filter): boolean => Object.values(filters).some(Boolean);

// Filters beside the folder, in which an empty folder is no mistake.
export const isNarrowed = (filter: Filter): boolean => isFiltered({ ...filter, folder: "" });

// From a number of bytes to before another; Infinity has no bound.
export const SIZES: Record<string, readonly [number, number]> = {
  small: [0, 100_000],
  medium: [100_000, 1_000_000],
  large: [1_000_000, 10_000_000],
  huge: [10_000_000, Infinity],
};

const DAY = 86_400_000;
const DAYS: Record<string, number> = { day: 1, week: 7, month: 30, year: 365 };

export function since(date: string, now = Date.now()): string | null {
  const days = DAYS[date];
  return days === undefined ? null : new Date(now - days * DAY).toISOString();
}

export function toQuery(filter: Filter): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
  return query;
}

export function fromQuery(query: URLSearchParams): Filter {
  const read = Object.fromEntries(Object.keys(ALL).map((name) => [name, query.get(name) ?? ""]));
  return { ...ALL, ...read };
}
