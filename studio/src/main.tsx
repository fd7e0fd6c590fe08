// The studio: shows the library of the server, and adds images to it.

import { render } from "preact";

import { App } from "./components/App";
import * as access from "./state/access";
import * as bulk from "./state/bulk";
import * as focus from "./state/focus";
import * as folders from "./state/folders";
import * as follow from "./state/follow";
import * as location from "./state/location";
import * as pages from "./state/pages";
import * as removal from "./state/removal";
import * as server from "./state/server";
import { sayError } from "./state/toasts";
import "./style.css";
import "./styles/image.css";
import "./styles/library.css";

async function start(): Promise<void> {
  await access.completeLogin();
  location.start();
  access.start();
  pages.start();
  render(<App />, document.getElementById("app")!);
  if (!(await access.load())) return;
  follow.start();
  folders.start();
  removal.start();
  bulk.start();
  focus.start();
  server.load().catch(sayError);
}

void start();
