// What an empty library shows.

import { useState } from "preact/hooks";

import { isOnAws } from "../api/aws";
import * as api from "../api/client";
import { mayWrite } from "../state/access";
import { uploadDirectory } from "../state/server";
import { say, sayError } from "../state/toasts";
import { AddByUrlButton } from "./AddByUrl";
import { chooseFiles } from "./Choose";

export function Empty() {
  const [isDrawing, setDrawing] = useState(false);
  const drawSample = async () => {
    setDrawing(true);
    say("Drawing an image…");
    await api.sample().catch(sayError);
    setDrawing(false);
  };
  if (!mayWrite.value) return <p class="nothing" id="empty">There are no images yet.</p>;
  return (
    <section class="empty" id="empty">
      <svg class="drawing" viewBox="0 0 240 150" aria-hidden="true">
        <rect class="sheet far" x="112" y="22" width="92" height="70" rx="7" />
        <rect class="sheet mid" x="78" y="34" width="104" height="78" rx="7" />
        <g class="near">
          <rect class="sheet" x="38" y="48" width="118" height="86" rx="8" />
          <circle class="sun" cx="126" cy="74" r="9" />
          <path class="hill" d="M38 118l30-32 24 24 18-16 46 32a8 8 0 0 1-8 8H46a8 8 0 0 1-8-8z" />
        </g>
      </svg>
      <h2>
        <span class="with-pointer">Drop an image here</span>
        <span class="by-touch">Add your first image</span>
      </h2>
      <p class="lead">The server makes every size and format of your recipe, ready for the web.</p>
      <p class="actions">
        <button class="button primary" type="button" onClick={chooseFiles}>
          Choose images
        </button>
        <AddByUrlButton class="button" />
        {!isOnAws && (
          <button class="button" type="button" disabled={isDrawing} onClick={drawSample}>
            Try a sample image
          </button>
        )}
      </p>
      <p class="note">
        Files copied to <code id="directory">{uploadDirectory.value}</code> are processed too.
      </p>
    </section>
  );
}
