// How far the ZIP file is that the page makes, and in the end what is missing in it.

import { bytes, counted } from "../labels";
import * as archive from "../state/archive";

const MAX_LISTED = 100;

export function ArchiveTray() {
  const progress = archive.progress.value;
  if (!progress) return null;
  const { total, done, failures, isOver } = progress;
  return (
    <aside class="tray" id="archive" aria-label="The ZIP file that you download">
      <p class="line">
        <strong>{isOver ? archive.missing(failures.length, total) : `Making ${archive.NAME}`}</strong>
        <span>{isOver ? `All others are in ${archive.NAME}.` : counts(progress)}</span>
      </p>
      {!isOver && <progress max={Math.max(1, total)} value={done} aria-label="read" />}
      {failures.length > 0 && <Failures failures={failures} />}
      <p class="actions">
        <button class="button small" type="button" onClick={isOver ? archive.dismiss : archive.cancel}>
          {isOver ? "Dismiss" : "Cancel"}
        </button>
      </p>
    </aside>
  );
}

const counts = ({ total, done, bytes: size, failures }: archive.Progress): string =>
  total
    ? [`${done.toLocaleString("en")} of ${counted(total, "file", "files")}`, bytes(size), failures.length && `${failures.length} not read`].filter(Boolean).join(" · ")
    : "Looking up the files";

function Failures({ failures }: { failures: readonly archive.Failure[] }) {
  const rest = failures.length - MAX_LISTED;
  return (
    <ul class="failures" tabIndex={0} aria-label="Files that could not be read">
      {failures.slice(0, MAX_LISTED).map(({ name, why }) => (
        <li key={name}>
          <strong>{name}</strong> {why}
        </li>
      ))}
      {rest > 0 && <li>and {rest.toLocaleString("en")} more</li>}
    </ul>
  );
}
