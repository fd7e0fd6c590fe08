/// <reference types="node" />

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { defineConfig, type Plugin } from "vite";

// `npm run dev` draws the page anew after each change of its sources, with the data of this server.
const SERVER = "http://127.0.0.1:8000";
const API = [
  "/activity", "/events", "/folders", "/health", "/images", "/openapi.json", "/parameters", "/recipe", "/renditions", "/resumable",
  "/samples", "/session", "/settings", "/uploads",
];

const PACKAGE = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/;

function licence(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version}\n\n${file ? readFileSync(join(folder, file), "utf8").trim() : license}\n`;
}

// The licences of the libraries in the page, which must go with every copy.
const licences: Plugin = {
  name: "licences",
  generateBundle(_options, bundle) {
    const chunks = Object.values(bundle).filter((item) => item.type === "chunk");
    const modules = chunks.flatMap((chunk) => Object.keys(chunk.modules));
    const folders = new Set(modules.flatMap((id) => PACKAGE.exec(id)?.[0] ?? []));
    this.emitFile({ type: "asset", fileName: "static/licences.txt", source: [...folders].sort().map(licence).join("\n") });
  },
};

export default defineConfig({
  plugins: [licences],
  // Relative addresses, so that the page works below any path.
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/image_processor/web",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // Names without digests: the server revalidates every file, and commits stay small.
    rollupOptions: {
      input: ["index.html", "docs.html"],
      output: {
        entryFileNames: ({ name }) => (name === "index" ? "static/studio.js" : "static/[name].js"),
        chunkFileNames: "static/[name].js",
        // What both pages need is one file: its parts would be divided by what else needs them.
        codeSplitting: { groups: [{ name: "shared", tags: ["$initial"], minShareCount: 2 }] },
        assetFileNames: ({ names }) => (names.includes("index.css") ? "static/studio.css" : "static/[name][extname]"),
      },
    },
  },
  server: { proxy: Object.fromEntries(API.map((path) => [path, SERVER])) },
});
