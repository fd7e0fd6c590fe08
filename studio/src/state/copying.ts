// Puts texts on the clipboard.

import { say } from "./toasts";

// ``what`` names the text, such as "Signed URL".
export async function copy(text: string, what: string): Promise<void> {
  const isCopied = await write(text);
  say(isCopied ? `${what}: copied.` : "The browser does not let the page copy. Select the text and copy it.");
}

async function write(text: string): Promise<boolean> {
  try {
    // Only pages over HTTPS, or of this machine, have it.
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else return writeBySelection(text);
    return true;
  } catch {
    return false;
  }
}

// The old way works for pages over HTTP, too: it copies what is selected.
function writeBySelection(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  const before = document.activeElement;
  // All but the topmost dialog is inert.
  ([...document.querySelectorAll("dialog:modal")].at(-1) ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return isCopied;
}
