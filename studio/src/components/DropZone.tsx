// Files may be dropped anywhere on the page, and pasted.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { pastedName } from "../names";
import { dropped, hasFiles } from "../state/drop";
import * as library from "../state/library";
import { sayError } from "../state/toasts";
import * as uploads from "../state/uploads";

const isOver = signal(false);

export function DropZone() {
  useEffect(listen, []);
  const { folder } = library.filter.value;
  return (
    <div class="dropping" id="dropping" hidden={!isOver.value}>
      <p>Drop to add{folder && ` to ${folder}`}</p>
    </div>
  );
}

function listen(): () => void {
  const controller = new AbortController();
  const options = { signal: controller.signal };
  let depth = 0; // dragenter and dragleave fire for every element under the pointer
  const track = (change: number) => (event: DragEvent) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth + change);
    isOver.value = depth > 0;
  };
  addEventListener("dragenter", track(1), options);
  addEventListener("dragleave", track(-1), options);
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault(), options);
  addEventListener(
    "drop",
    (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      isOver.value = false;
      dropped(event.dataTransfer!).then(uploads.add, sayError);
    },
    options,
  );
  document.addEventListener("paste", paste, options);
  return () => controller.abort();
}

function paste(event: ClipboardEvent): void {
  const now = new Date();
  const files = [...(event.clipboardData?.files ?? [])];
  void uploads.add(files.map((file) => ({ key: pastedName(file.name, now), file })));
}
