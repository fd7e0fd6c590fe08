// The reference of the API: shows the server's OpenAPI description.

import { render } from "preact";

import { Reference } from "./components/Reference";
import "./style.css";

render(<Reference />, document.getElementById("app")!);
