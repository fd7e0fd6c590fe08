// What can be done about an image that failed: the advice of the server, another try, or to give it up.

import * as api from "../api/client";
import { STATES, fileName, refusal } from "../labels";
import { mayDelete, mayWrite } from "../state/access";
import type { Item } from "../state/item";
import * as library from "../state/library";
import { say, sayError } from "../state/toasts";
import * as removal from "../state/removal";
import * as uploads from "../state/uploads";

export function Remedy({ item }: { item: Item }) {
  const name = fileName(item.key);
  return (
    <div class="remedy">
      <p class="reason">{item.state === "refused" ? refusal(item.image?.reason) : STATES[item.state]}</p>
      <p class="fix">{item.state === "refused" ? item.image?.fix : item.note}</p>
      {mayWrite.value && (
        <p class="tries">
        <button class="button small" type="button" aria-label={`Retry ${name}`} onClick={() => retry(item)}>
          Retry
        </button>
        {(item.state !== "refused" || mayDelete.value) && (
          <button class="button small" type="button" aria-label={`${dismissal(item)} ${name}`} onClick={() => dismiss(item)}>
            {dismissal(item)}
          </button>
        )}
        </p>
      )}
    </div>
  );
}

// A refused original is stored: to be rid of it is to delete it.
const dismissal = ({ state }: Item) => (state === "refused" ? "Delete" : "Dismiss");

function retry({ key, id }: Item): void {
  if (uploads.isRetriable(key)) return uploads.retry(key);
  if (!id) return void say(`${fileName(key)} must be added again.`);
  api.reprocess(id).catch(sayError);
}

function dismiss(item: Item): void {
  if (item.state === "refused" && item.id) removal.remove([{ key: item.key, id: item.id }]);
  else if (item.state === "failed") uploads.dismiss(item.key);
  else library.remove(item.key);
}
