// Adds a file that the server fetches, where it has remote sources.

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";

import * as api from "../api/client";
import { trouble } from "../labels";
import { mayWrite } from "../state/access";
import * as library from "../state/library";
import { remoteSources } from "../state/server";
import { say } from "../state/toasts";
import { Dialog } from "./Dialog";

const isOpen = signal(false);
const close = () => (isOpen.value = false);

export function AddByUrlButton({ class: name }: { class: string }) {
  if (!mayWrite.value || !remoteSources.value.length) return null;
  return (
    <button class={name} type="button" onClick={() => (isOpen.value = true)}>
      Add by URL
    </button>
  );
}

export function AddByUrl() {
  return isOpen.value ? <AddByUrlDialog /> : null;
}

async function add(url: string, key: string): Promise<void> {
  const stored = await api.importUrl(url, key);
  if (!library.peek(stored.key)) library.mark(stored.key, { id: stored.id, state: "queued" });
  say(`Added ${stored.key}.`);
}

const reason = (error: unknown): string => {
  if (!(error instanceof api.Problem)) return (error as Error).message;
  return error.isTaken ? "There is an image of this name." : trouble(error.problem);
};

function AddByUrlDialog() {
  const [problem, setProblem] = useState("");
  const [isFetching, setFetching] = useState(false);
  const onSubmit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setFetching(true);
    setProblem("");
    try {
      await add((form.get("url") as string).trim(), (form.get("key") as string).trim());
      close();
    } catch (error) {
      setProblem(reason(error));
      setFetching(false);
    }
  };
  return (
    <Dialog class="question" id="add-by-url" labelledBy="add-by-url-title" onClose={close}>
      <form onSubmit={(event) => void onSubmit(event)}>
        <h2 id="add-by-url-title">Add by URL</h2>
        <label class="named">
          <span>URL of an image</span>
          <input type="url" name="url" required autofocus autocomplete="off" spellcheck={false} placeholder={remoteSources.value[0]} />
        </label>
        <label class="named">
          <span>Name in the library (optional)</span>
          <input type="text" name="key" autocomplete="off" spellcheck={false} />
        </label>
        <p class="hint">
          The server fetches files below {remoteSources.value.join(", ")}. Without a name of its own, an image follows its source when
          that changes.
        </p>
        <p class="problem" role="alert">
          {problem}
        </p>
        <p class="actions">
          <button class="button" type="button" onClick={close}>
            Cancel
          </button>
          <button class="button primary" type="submit" disabled={isFetching}>
            {isFetching ? "Fetching…" : "Add"}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
