// The file pickers of the page: one for files, one for a whole folder.

import { photoName } from "../names";
import { named } from "../state/drop";
import { rest } from "../state/slices";
import * as uploads from "../state/uploads";

const ACCEPTED = "image/jpeg,image/png,image/webp,image/avif,image/gif,image/tiff,image/heic,image/jxl";

export const chooseFiles = () => document.getElementById("files")?.click();
export const takePhoto = () => document.getElementById("photo")?.click();
export const chooseFolder = () => document.getElementById("folder")?.click();

async function add(input: HTMLInputElement): Promise<void> {
  const files = [...(input.files ?? [])];
  input.value = "";
  await rest(); // the browser has made thousands of files in this task already
  void uploads.add(named(files).filter(({ key }) => !key.split("/").some((part) => part.startsWith("."))));
}

// Telephones name every photo alike.
function addPhoto(input: HTMLInputElement): void {
  const now = new Date();
  void uploads.add([...(input.files ?? [])].map((file) => ({ key: photoName(file.name, now), file })));
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
        onChange={(event) => void add(event.currentTarget)}
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
        onChange={(event) => void add(event.currentTarget)}
      />
    </>
  );
}
