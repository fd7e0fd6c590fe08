// What the server says about itself.

import { signal } from "@preact/signals";

import * as api from "../api/client";
import * as uploads from "./uploads";

export const uploadDirectory = signal("the upload directory");

export async function load(): Promise<void> {
  const { uploads: directory, max_bytes } = await api.health();
  uploadDirectory.value = directory;
  uploads.limit.value = max_bytes;
}
