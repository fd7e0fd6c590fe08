// The page: its head, the library, and what lies over them.

import { counted } from "../labels";
import { mayRead, mayWrite } from "../state/access";
import { tasks } from "../state/bulk";
import { isConnected } from "../state/follow";
import { calm } from "../state/calm";
import { workingCount } from "../state/library";
import { isOnAws } from "../api/aws";
import { address } from "../api/client";
import { AddByUrl } from "./AddByUrl";
import { ArchiveTray } from "./ArchiveTray";
import { FilePickers, chooseFiles, chooseFolder, takePhoto } from "./Choose";
import { Details } from "./Details";
import { hasDialog } from "./Dialog";
import { DropZone } from "./DropZone";
import { Navigation, Pages } from "./Pages";
import { SignIn, SignOut } from "./SignIn";
import { Selection } from "./Selection";
import { Toasts } from "./Toasts";
import { Tray } from "./Tray";

export function App() {
  if (!mayRead.value) return <SignIn />;
  return (
    <>
      <Head />
      <main tabIndex={-1}>
        <Pages />
      </main>
      <Details />
      <Selection />
      <AddByUrl />
      <div class="trays">
        <Tray />
        <ArchiveTray />
      </div>
      {mayWrite.value && <DropZone />}
      {!hasDialog() && <Toasts />}
    </>
  );
}

function Head() {
  return (
    <header class="top">
      <button class="skip" type="button" onClick={skip}>
        Skip to the content
      </button>
      <a class="brand" href={address("/")}>
        <img src={address("/static/icon.svg")} alt="" width="28" height="28" />
        <h1>Image processor</h1>
      </a>
      {!isOnAws && <Navigation />}
      <State />
      {mayWrite.value && (
        <>
          <button class="button wide" type="button" onClick={chooseFolder}>
            Add a folder
          </button>
          <button class="button camera" type="button" aria-label="Take a photo" title="Take a photo" onClick={takePhoto}>
            <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
              <path d="M4 7.5h3.2l1.5-2.3h6.6l1.5 2.3H20c.9 0 1.5.6 1.5 1.5v8.5c0 .9-.6 1.5-1.5 1.5H4c-.9 0-1.5-.6-1.5-1.5V9c0-.9.6-1.5 1.5-1.5z" />
              <circle cx="12" cy="13" r="3.6" />
            </svg>
          </button>
          <button class="button primary" type="button" onClick={chooseFiles}>
            Add images
          </button>
          <FilePickers />
        </>
      )}
      <SignOut />
    </header>
  );
}

/** Past the links and filters: to the image that the keyboard reaches, or to the page. */
function skip() {
  const image = document.querySelector<HTMLElement>(".card .open[tabindex='0']");
  (image ?? document.querySelector<HTMLElement>("main"))?.focus();
}

const shownWorking = calm(workingCount);

function state(): [name: string, text: string] {
  if (!isConnected.value) return ["lost", "Connection lost, reconnecting"];
  const task = tasks.value[0];
  if (task) return ["busy", `${task.doing}: ${task.done.toLocaleString("en")} of ${task.total.toLocaleString("en")}`];
  const working = shownWorking.value;
  return working ? ["busy", `${counted(working, "image", "images")} in progress`] : ["ready", "Up to date"];
}

function State() {
  const [name, text] = state();
  return (
    <p class="state" data-state={name}>
      <span class="dot" aria-hidden="true" />
      <span id="state-text">{text}</span>
    </p>
  );
}
