// The details of one image: the original, every rendition, and the actions.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

import { isOnAws } from "../api/aws";
import * as api from "../api/client";
import { fileName, refusal } from "../labels";
import * as library from "../state/library";
import { mayWrite } from "../state/access";
import { close, openId, replace, tried, tryTransformation } from "../state/location";
import * as removal from "../state/removal";
import { say, sayError } from "../state/toasts";
import { Dialog } from "./Dialog";
import { Facts } from "./Facts";
import { Picture } from "./Picture";
import { Renditions } from "./Renditions";

const PREVIEW_PIXELS = 640 * Math.min(devicePixelRatio || 1, 2);

// The whole record of the image that the address names, read again whenever the library learns of a change.
function useImage(id: string): api.Image | null {
  const [image, setImage] = useState<api.Image | null>(null);
  const key = library.keyOf(id);
  const item = key === undefined ? undefined : library.itemOf(key)?.value;
  useEffect(() => {
    if (!id) return setImage(null);
    let isCurrent = true;
    api.image(id).then(
      (read) => isCurrent && setImage(read),
      (error) => {
        if (!isCurrent) return;
        sayError(error);
        close(id);
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [id, item?.state, item?.changes]);
  // The previous image stays until the next one is there.
  return id ? image : null;
}

export function Details() {
  const id = openId.value;
  const image = useImage(id);
  if (!id || !image) return null;
  return (
    <>
      <Open image={image} />
      {tried.value !== null && image.status === "processed" && <LazyPlayground image={image} />}
    </>
  );
}

// Loaded when it is first opened.
function LazyPlayground({ image }: { image: api.Image }) {
  const [Loaded, setLoaded] = useState<ComponentType<{ image: api.Image }> | null>(null);
  useEffect(() => {
    import("./Playground").then(({ Playground }) => setLoaded(() => Playground), sayError);
  }, []);
  return Loaded && <Loaded image={image} />;
}

function neighbour(image: api.Image, by: number): string | null {
  const keys = library.shown.value;
  const at = keys.indexOf(image.original);
  const key = at < 0 ? undefined : keys[at + by];
  return key === undefined ? null : (library.peek(key)?.id ?? null);
}

function Open({ image }: { image: api.Image }) {
  const [before, after] = [neighbour(image, -1), neighbour(image, 1)];
  const onKeyDown = (event: KeyboardEvent) => {
    const to = event.key === "ArrowLeft" ? before : event.key === "ArrowRight" ? after : null;
    if (!to || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    replace(to);
  };
  return (
    <Dialog class="details" id="details" labelledBy="details-name" onClose={close} onKeyDown={onKeyDown}>
      <header class="bar">
        <h2 id="details-name" tabIndex={-1} autofocus title={image.original}>
          {fileName(image.original)}
        </h2>
        <Step label="Previous image" to={before} sign="‹" />
        <Step label="Next image" to={after} sign="›" />
        <button class="icon" type="button" aria-label="Close" onClick={() => close()}>
          ×
        </button>
      </header>
      <div class="columns">
        <Stage image={image} key={image.id} />
        <div class="side">
          <Facts image={image} />
          <Actions image={image} />
        </div>
      </div>
      {image.renditions.length > 0 && <Renditions image={image} />}
    </Dialog>
  );
}

function Step({ label, to, sign }: { label: string; to: string | null; sign: string }) {
  return (
    <button class="icon" type="button" aria-label={label} disabled={!to} onClick={() => to && replace(to)}>
      {sign}
    </button>
  );
}

function Stage({ image }: { image: api.Image }) {
  if (image.status === "refused") {
    return (
      <div class="stage refused">
        <p class="reason">{refusal(image.reason)}</p>
        <p>{image.fix}</p>
        <p class="exact">{image.message}</p>
      </div>
    );
  }
  return (
    <div class="stage">
      <Picture image={image} alt={fileName(image.original)} width={PREVIEW_PIXELS} whole />
    </div>
  );
}

function Actions({ image }: { image: api.Image }) {
  const reprocess = () => {
    say(`${fileName(image.original)} is rendered again.`);
    api.reprocess(image.id).catch(sayError);
  };
  return (
    <p class="actions">
      {image.status === "processed" && !isOnAws && (
        <button class="button primary" type="button" onClick={() => tryTransformation("w=640,fm=webp")}>
          Try transformations
        </button>
      )}
      {mayWrite.value && (
        <>
          <button class="button" type="button" id="reprocess" onClick={reprocess}>
            Render again
          </button>
          <button
            class="button danger"
            type="button"
            id="delete"
            onClick={() => removal.remove([{ key: image.original, id: image.id }])}
          >
            Delete
          </button>
        </>
      )}
    </p>
  );
}
