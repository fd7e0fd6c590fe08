// The studio: shows the library of the server, and adds images to it.

import { render } from "preact";

import { App } from "./components/App";
import * as follow from "./state/follow";
import * as location from "./state/location";
import * as server from "./state/server";
import { sayError } from "./state/toasts";
import "./style.css";

location.start();
render(<App />, document.getElementById("app")!);
follow.start();
server.load().catch(sayError);
