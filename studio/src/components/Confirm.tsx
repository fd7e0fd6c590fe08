// Asks before something is deleted.

import { signal } from "@preact/signals";

import * as api from "../api/client";
import { counted, fileName } from "../labels";
import * as library from "../state/library";
import { close } from "../state/location";
import { say, sayError } from "../state/toasts";
import { Dialog } from "./Dialog";

interface Question {
  text: string;
  answer(yes: boolean): void;
}

const question = signal<Question | null>(null);

function ask(text: string): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      text,
      answer: (yes) => {
        question.value = null;
        resolve(yes);
      },
    };
  });
}

// Deletes an image and its renditions if the user agrees.
export async function confirmRemoval(key: string, id: string, renditions: number): Promise<void> {
  const rest = renditions ? ` and its ${counted(renditions, "rendition", "renditions")}` : "";
  if (!(await ask(`Delete ${fileName(key)}${rest}?`))) return;
  try {
    await api.remove(id);
    close(id);
    library.remove(key);
    say(`${fileName(key)} is deleted.`);
  } catch (error) {
    sayError(error);
  }
}

export function Confirm() {
  const asked = question.value;
  if (!asked) return null;
  return (
    <Dialog class="question" id="question" labelledBy="question-text" onClose={() => asked.answer(false)}>
      <p id="question-text">{asked.text}</p>
      <p class="actions">
        <button class="button" type="button" autofocus onClick={() => asked.answer(false)}>
          Keep it
        </button>
        <button class="button danger" type="button" id="question-yes" onClick={() => asked.answer(true)}>
          Delete
        </button>
      </p>
    </Dialog>
  );
}
