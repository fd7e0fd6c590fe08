// npm run upload -- photos/*.jpg: stores files below photos/, and says which the server refuses.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";

import { upload } from "./src/lib/images.js";

for (const path of process.argv.slice(2)) {
  try {
    const { key, status } = await upload(await readFile(path), `photos/${basename(path)}`);
    console.log(`${key}: ${status}`);
    if (status === "refused") process.exitCode = 1;
  } catch (error) {
    console.error(`${path}: ${error.message} ${error.fix ?? ""}`);
    process.exitCode = 1;
  }
}
