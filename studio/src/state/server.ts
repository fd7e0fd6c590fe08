// What the server says about itself.

import { signal } from "@preact/signals";

import * as api from "../api/client";
import * as uploads from "./uploads";

export const uploadDirectory = signal("the upload directory");
// Beginnings of the URLs that may be added.
export const remoteSources = signal<readonly string[]>([]);

export async function load(): Promise<void> {
  const { uploads: directory, max_bytes, remote_sources } = await api.health();
  uploadDirectory.value = directory;
  uploads.limit.value = max_bytes;
  remoteSources.value = remote_sources ?? []; // none on AWS
}
