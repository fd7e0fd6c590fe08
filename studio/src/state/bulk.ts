// What is done with many images at once.

import { signal } from "@preact/signals";

import { isOnAws } from "../api/aws";
import * as api from "../api/client";
import type { Content } from "../api/archived";
import { counted } from "../labels";
import * as archive from "./archive";
import { say, sayError } from "./toasts";

// The browser opens six connections; the events and the pictures of the page need some.
const AT_ONCE = 3;

// What takes so long that the page says how far it is.
const MIN_SHOWN = 10;

interface Task {
  readonly doing: string;
  readonly total: number;
  readonly done: number;
}

export const tasks = signal<readonly Task[]>([]);

// Sends a request for each item; ``doing`` says what they do, such as "Deleting".
export async function inParallel<T>(doing: string, items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  let task: Task = { doing, total: items.length, done: 0 };
  const show = (next: Task | null) => {
    tasks.value = [...tasks.value.filter((other) => other !== task), ...(next ? [next] : [])];
    if (next) task = next;
  };
  if (items.length >= MIN_SHOWN) show(task);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < items.length) {
      await run(items[next++]!);
      if (items.length >= MIN_SHOWN) show({ ...task, done: task.done + 1 });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  show(null);
}

// A page that closes would end the requests that are left.
export function start(): void {
  addEventListener("beforeunload", (event) => (tasks.peek().length || archive.isMaking.peek()) && event.preventDefault());
}

export async function reprocess(ids: readonly string[]): Promise<void> {
  say(`${counted(ids.length, "image is", "images are")} rendered again.`);
  let lastError: unknown = null;
  await inParallel("Asking to render again", ids, async (id) => {
    await api.reprocess(id).catch((error) => (lastError = error));
  });
  if (lastError) sayError(lastError);
}

export function download(ids: readonly string[], content: Content): void {
  if (isOnAws) void archive.make(ids, content);
  else submit(ids, content);
}

// The browser itself sends the form, and streams the server's archive into a file.
function submit(ids: readonly string[], content: Content): void {
  const form = document.createElement("form");
  form.method = "post";
  form.action = api.address("/archives");
  form.hidden = true;
  for (const [name, value] of Object.entries({ ids: ids.join(), content })) {
    const input = document.createElement("input");
    [input.name, input.value] = [name, value];
    form.append(input);
  }
  document.body.append(form);
  form.submit();
  form.remove();
}
