// The file pickers of the page: one for files, one for a whole folder.

import { named } from "../state/drop";
import * as uploads from "../state/uploads";

const ACCEPTED = "image/jpeg,image/png,image/webp,image/avif,image/gif,image/tiff,image/heic,image/jxl";

export const chooseFiles = () => document.getElementById("files")?.click();
export const chooseFolder = () => document.getElementById("folder")?.click();

function add(input: HTMLInputElement): void {
  uploads.add(named(input.files ?? []).filter(({ key }) => !key.split("/").some((part) => part.startsWith("."))));
  input.value = "";
}

export function FilePickers() {
  return (
    <>
      <input
        type="file"
        id="files"
        multiple
        hidden
        aria-label="Images to add"
        accept={ACCEPTED}
        onChange={(event) => add(event.currentTarget)}
      />
      <input
        type="file"
        id="folder"
        hidden
        aria-label="Folder to add"
        {...{ webkitdirectory: true }}
        onChange={(event) => add(event.currentTarget)}
      />
    </>
  );
}
