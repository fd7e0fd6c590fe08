// The file pickers of the page: one for files, one for a whole folder.

import { photoName } from "../names";
import { named } from "../state/drop";
import * as uploads from "../state/uploads";

const ACCEPTED = "image/jpeg,image/png,image/webp,image/avif,image/gif,image/tiff,image/heic,image/jxl";

export const chooseFiles = () => document.getElementById("files")?.click();
export const takePhoto = () => document.getElementById("photo")?.click();
export const chooseFolder = () => document.getElementById("folder")?.click();

function add(input: HTMLInputElement): void {
  uploads.add(named(input.files ?? []).filter(({ key }) => !key.split("/").some((part) => part.startsWith("."))));
  input.value = "";
}

// Telephones name every photo alike.
function addPhoto(input: HTMLInputElement): void {
  const now = new Date();
  uploads.add([...(input.files ?? [])].map((file) => ({ key: photoName(file.name, now), file })));
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
        id="photo"
        hidden
        aria-label="Photo to add"
        accept="image/*"
        capture="environment"
        onChange={(event) => addPhoto(event.currentTarget)}
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
