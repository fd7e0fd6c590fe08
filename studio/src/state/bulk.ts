// What is done with many images at once.

import * as api from "../api/client";
import { counted } from "../labels";
import { say, sayError } from "./toasts";

// The browser opens six connections; the events and the pictures of the page need some.
const AT_ONCE = 3;

export async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const work = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

export async function reprocess(ids: readonly string[]): Promise<void> {
  say(`${counted(ids.length, "image is", "images are")} rendered again.`);
  let lastError: unknown = null;
  await inParallel(ids, async (id) => {
    await api.reprocess(id).catch((error) => (lastError = error));
  });
  if (lastError) sayError(lastError);
}

// The browser itself sends the form, and streams the archive into a file.
export function download(ids: readonly string[], content: "originals" | "renditions"): void {
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
