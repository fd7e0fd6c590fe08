// The details of one image: the original, every rendition, and the actions.

import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { isOnAws } from "../api/aws";
import * as api from "../api/client";
import { fileName } from "../labels";
import * as library from "../state/library";
import { mayDelete, mayWrite } from "../state/access";
import * as focus from "../state/focus";
import { close, left, openId, replace, tried, tryTransformation } from "../state/location";
import * as removal from "../state/removal";
import { say, sayError } from "../state/toasts";
import { Dialog } from "./Dialog";
import { Facts } from "./Facts";
import { Renditions } from "./Renditions";
import { Similar } from "./Similar";
import { Stage } from "./Stage";
import { useTitle } from "./useTitle";

// The whole record of the image that the address names, read again whenever the library learns of a change.
function useImage(id: string): api.Image | null {
  const [image, setImage] = useState<api.Image | null>(null);
  void library.count.value; // the page may be opened with an image before the library is loaded
  const key = library.keyOf(id);
  const item = key === undefined ? undefined : library.itemOf(key)?.value;
  useEffect(() => {
    if (!id) return setImage(null);
    let isCurrent = true;
    const knowsFocus = focus.isSent();
    api.image(id).then(
      (read) => {
        if (!isCurrent) return;
        if (knowsFocus && focus.isSent()) focus.forget();
        setImage(read);
      },
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

function Open({ image: read }: { image: api.Image }) {
  // A focus that was just set is shown before the server has rendered with it.
  const chosen = focus.chosen.value;
  const image = chosen?.id === read.id ? { ...read, focal_point: chosen.point } : read;
  const [before, after] = [neighbour(image, -1), neighbour(image, 1)];
  useTitle(fileName(image.original));
  const last = useRef(image.original);
  last.current = image.original;
  useEffect(() => () => void (left.value = last.current), []);
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
        <Place image={image} />
        <Step label="Previous image" to={before} sign="‹" />
        <Step label="Next image" to={after} sign="›" />
        <button class="icon" type="button" aria-label="Close" onClick={() => close()}>
          ×
        </button>
      </header>
      <div class="columns">
        <Stage image={image} key={image.id} />
        <div class="side">
          <Actions image={image} />
          <Facts image={image} />
        </div>
      </div>
      {image.renditions.length > 0 && <Renditions image={image} />}
      <Similar image={image} />
    </Dialog>
  );
}

// "3 of 120", in the order of the library.
function Place({ image }: { image: api.Image }) {
  const at = library.shown.value.indexOf(image.original);
  const total = library.total.value ?? library.shown.value.length;
  return at < 0 ? null : <span class="place">{`${(at + 1).toLocaleString("en")} of ${total.toLocaleString("en")}`}</span>;
}

function Step({ label, to, sign }: { label: string; to: string | null; sign: string }) {
  return (
    <button class="icon" type="button" aria-label={label} disabled={!to} onClick={() => to && replace(to)}>
      {sign}
    </button>
  );
}

function Actions({ image }: { image: api.Image }) {
  const name = fileName(image.original);
  const reprocess = () => {
    say(`${name} is rendered again.`);
    api.reprocess(image.id).catch(sayError);
  };
  const isProcessed = image.status === "processed";
  return (
    <p class="actions">
      {isProcessed && !isOnAws && (
        <button class="button primary" type="button" onClick={() => tryTransformation("w=640,fm=webp")}>
          Try transformations
        </button>
      )}
      {isOnAws ? (
        <button class="button" type="button" onClick={() => void downloadFromBucket(image.id)}>
          Download
        </button>
      ) : (
        <a class="button" href={api.originalUrl(image.id)} download={name}>
          Download
        </a>
      )}
      {mayWrite.value && (
        <>
          {isProcessed && (
            <button class="button" type="button" aria-pressed={focus.isFocusing.value} onClick={() => (focus.isFocusing.value = !focus.isFocusing.peek())}>
              {focus.isFocusing.value ? "Done" : "Set focus"}
            </button>
          )}
          {image.focal_point && (
            <button class="button" type="button" onClick={() => focus.removeFocus(image)}>
              Remove focus
            </button>
          )}
          <button class="button" type="button" id="reprocess" onClick={reprocess}>
            Render again
          </button>
          {!isOnAws && <Replace image={image} />}
          {mayDelete.value && (
            <button class="button danger" type="button" id="delete" onClick={() => removal.remove([{ key: image.original, id: image.id }])}>
              Delete
            </button>
          )}
        </>
      )}
    </p>
  );
}

// The bucket answers with a download, so that the page stays.
const downloadFromBucket = (id: string) => api.downloadUrl(id).then((url) => location.assign(url), sayError);

// Stores another file under the same key, if nobody else has done so meanwhile.
function Replace({ image }: { image: api.Image }) {
  const input = useRef<HTMLInputElement>(null);
  const onChange = async (file: File | undefined) => {
    if (!file) return;
    input.current!.value = "";
    try {
      await api.replaceOriginal(image.original, file, image.version ?? null);
      say(`${fileName(image.original)} is replaced.`);
    } catch (error) {
      const isTaken = error instanceof api.Problem && error.isTaken;
      if (isTaken) say(`${fileName(image.original)} was replaced by somebody else meanwhile.`);
      else sayError(error);
    }
  };
  return (
    <>
      <button class="button" type="button" onClick={() => input.current?.click()}>
        Replace
      </button>
      <input
        ref={input}
        type="file"
        hidden
        aria-label="Another file for this image"
        onChange={(event) => void onChange(event.currentTarget.files?.[0])}
      />
    </>
  );
}
