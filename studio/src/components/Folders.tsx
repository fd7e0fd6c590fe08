// Where the library is: the folders above, those in it, and a new one. Files are added to the folder that is shown.

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";

import { fileName } from "../labels";
import { mayWrite } from "../state/access";
import * as library from "../state/library";
import { folders } from "../state/folders";
import { filterBy, openFolder } from "../state/location";
import { remoteSources } from "../state/server";
import { AddByUrlButton } from "./AddByUrl";
import { Dialog } from "./Dialog";

const isNaming = signal(false);

export function Folders() {
  const { folder, near, search } = library.filter.value;
  if (near) return <Near id={near} />;
  return (
    <nav class="places" aria-label="Folders">
      <Breadcrumbs folder={folder} />
      <ul class="folders">
        {!search &&
          folders.value.map(({ name, prefix, images }) => (
            <li key={prefix}>
              <button class="folder" type="button" onClick={() => openFolder(prefix)}>
                <FolderIcon />
                <span>{name || "(no name)"}</span>
                <span class="count">{images.toLocaleString("en")}</span>
              </button>
            </li>
          ))}
        {mayWrite.value && (
          <>
            <li>
              <button class="folder new" type="button" onClick={() => (isNaming.value = true)}>
                <span aria-hidden="true">+</span> New folder
              </button>
            </li>
            {remoteSources.value.length > 0 && (
              <li>
                <AddByUrlButton class="folder new" />
              </li>
            )}
          </>
        )}
      </ul>
      {isNaming.value && <NewFolder folder={folder} />}
    </nav>
  );
}

function Breadcrumbs({ folder }: { folder: string }) {
  const parts = folder.split("/").slice(0, -1);
  if (!parts.length) return null;
  const above = parts.map((name, at) => ({ name, prefix: `${parts.slice(0, at + 1).join("/")}/` }));
  return (
    <ol class="crumbs">
      <li>
        <button class="crumb" type="button" onClick={() => openFolder("")}>
          Library
        </button>
      </li>
      {above.map(({ name, prefix }) => (
        <li key={prefix}>
          <button class="crumb" type="button" aria-current={prefix === folder ? "page" : undefined} onClick={() => openFolder(prefix)}>
            {name || "(no name)"}
          </button>
        </li>
      ))}
    </ol>
  );
}

// Similar images are those of one image, whatever their folder.
function Near({ id }: { id: string }) {
  const key = library.keyOf(id);
  const isAlone = library.total.value === 1; // it is the first of them itself
  return (
    <p class="places near">
      {isAlone ? "No other image looks" : "Images that look"} like <strong>{key ? fileName(key) : "this one"}</strong>
      {isAlone ? "." : ", the nearest first."}{" "}
      <button class="link" type="button" onClick={() => filterBy({ near: "" })}>
        Show all
      </button>
    </p>
  );
}

const close = () => (isNaming.value = false);

// A folder exists when it has an image: this one is only opened.
function NewFolder({ folder }: { folder: string }) {
  const [name, setName] = useState("");
  const path = name.split("/").map((part) => part.trim()).filter((part) => part && part !== "." && part !== "..").join("/");
  return (
    <Dialog class="question" id="new-folder" labelledBy="new-folder-title" onClose={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!path) return;
          close();
          openFolder(`${folder}${path}/`);
        }}
      >
        <h2 id="new-folder-title">New folder</h2>
        <label class="named">
          <span>Name{folder && `, in ${folder}`}</span>
          <input type="text" autofocus autocomplete="off" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <p class="hint">It is kept with the first image that you add to it.</p>
        <p class="actions">
          <button class="button" type="button" onClick={close}>
            Cancel
          </button>
          <button class="button primary" type="submit" disabled={!path}>
            Open
          </button>
        </p>
      </form>
    </Dialog>
  );
}

const FolderIcon = () => (
  <svg viewBox="0 0 20 16" width="18" height="15" aria-hidden="true">
    <path d="M1.5 3.2c0-1 .7-1.7 1.7-1.7h4l1.9 2.2h7.7c1 0 1.7.7 1.7 1.7v7.4c0 1-.7 1.7-1.7 1.7H3.2c-1 0-1.7-.7-1.7-1.7z" />
  </svg>
);
