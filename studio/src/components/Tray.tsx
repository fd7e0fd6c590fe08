// How far the files are that were added together, with pause, resume, stop and retry.

import { counted } from "../labels";
import * as uploads from "../state/uploads";

export function Tray() {
  const progress = uploads.shownProgress.value;
  const { total, sent, ready, refused, failed } = progress;
  const isBusy = uploads.isBusy.value;
  if ((total < 2 && !uploads.isLarge.value) || uploads.isDismissed.value || (!isBusy && !failed)) return null;
  const done = ready + refused + failed;
  const isSending = sent + failed < total;
  return (
    <aside class="tray" id="tray" aria-label="Files that you have added">
      <p class="line">
        <strong>{title(isBusy, progress)}</strong>
        <span>{counts(progress)}</span>
      </p>
      <progress max={total} value={done + (isSending ? 0.25 * (sent - done) : 0)} aria-label="done" />
      <p class="actions">
        {isSending && isBusy && <PauseButton />}
        {isSending && isBusy && (
          <button class="button small" type="button" onClick={uploads.stop}>
            Stop
          </button>
        )}
        {failed > 0 && (
          <button class="button small" type="button" onClick={uploads.retryAll}>
            Retry {counted(failed, "file", "files")}
          </button>
        )}
        {!isBusy && (
          <button class="button small" type="button" onClick={() => (uploads.isDismissed.value = true)}>
            Dismiss
          </button>
        )}
      </p>
    </aside>
  );
}

const title = (isBusy: boolean, { total, failed }: uploads.Progress) => {
  const files = counted(total, "file", "files");
  if (!isBusy) return `${(total - failed).toLocaleString("en")} of ${files} added`;
  return uploads.isPaused.value ? `Paused: ${files}` : `Adding ${files}`;
};

function PauseButton() {
  return uploads.isPaused.value ? (
    <button class="button small" type="button" onClick={uploads.resume}>
      Resume
    </button>
  ) : (
    <button class="button small" type="button" onClick={uploads.pause}>
      Pause
    </button>
  );
}

const counts = ({ total, ready, refused, failed }: uploads.Progress): string =>
  [
    `${ready.toLocaleString("en")} of ${total.toLocaleString("en")} ready`,
    refused && `${refused.toLocaleString("en")} refused`,
    failed && `${failed.toLocaleString("en")} not added`,
  ]
    .filter(Boolean)
    .join(" · ");
