// What can be done with the chosen images: at the lower edge of the window while there are some.

import { useEffect } from "preact/hooks";

import { counted } from "../labels";
import { mayDelete, mayWrite } from "../state/access";
import { isMaking } from "../state/archive";
import * as bulk from "../state/bulk";
import * as library from "../state/library";
import * as removal from "../state/removal";
import * as selection from "../state/selection";
import { hasDialog } from "./Dialog";

// What is put into one archive, by the server or by the page.
const MAX_ARCHIVED = 1000;

export function Selection() {
  useEffect(listen, []);
  const count = selection.selected.value.length;
  const total = library.total.value;
  if (!count || hasDialog()) return null;
  const ids = () => selection.selectedItems().map(({ id }) => id);
  const isTooMany = count > MAX_ARCHIVED;
  return (
    <aside class="selection" id="selection" aria-label="Selected images">
      <p class="chosen" role="status">
        {counted(count, "image", "images")} selected
      </p>
      {(total === null ? count <= library.shown.value.length : count < total) && (
        <button class="link" type="button" disabled={selection.isReading.value} onClick={selection.selectAll}>
          Select all {total?.toLocaleString("en")}
        </button>
      )}
      <div class="actions">
        {mayWrite.value && (
          <button class="button small" type="button" onClick={() => void bulk.reprocess(ids())}>
            Render again
          </button>
        )}
        {(["originals", "renditions"] as const).map((content) => (
          <button
            key={content}
            class="button small"
            type="button"
            disabled={isTooMany || isMaking.value}
            title={isTooMany ? `An archive has at most ${MAX_ARCHIVED.toLocaleString("en")} images` : undefined}
            onClick={() => bulk.download(ids(), content)}
          >
            Download {content}
          </button>
        ))}
        {mayDelete.value && (
          <button class="button small danger" type="button" onClick={removeChosen}>
            Delete
          </button>
        )}
        <button class="icon" type="button" aria-label="Clear the selection" onClick={selection.clear}>
          ×
        </button>
      </div>
    </aside>
  );
}

function removeChosen(): void {
  if (!mayDelete.peek()) return;
  removal.remove(selection.selectedItems());
  selection.clear();
}

const isField = (target: EventTarget | null) =>
  target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && !["radio", "checkbox"].includes(target.type));

function listen(): () => void {
  const onKeyDown = (event: KeyboardEvent) => {
    if (hasDialog() || isField(event.target) || event.altKey || event.defaultPrevented) return;
    const key = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + event.key;
    const actions: Record<string, () => boolean | void> = {
      "Ctrl+a": selection.selectAll,
      "Ctrl+z": removal.undoLast,
      Escape: selection.clear,
      Delete: removeChosen,
    };
    const action = actions[key];
    if (action && action() !== false) event.preventDefault();
  };
  addEventListener("keydown", onKeyDown);
  return () => removeEventListener("keydown", onKeyDown);
}
