import { defineConfig } from "vite";

// `npm run dev` draws the page anew after each change of its sources, with the data of this server.
const SERVER = "http://127.0.0.1:8000";
const API = [
  "/activity", "/events", "/folders", "/health", "/images", "/openapi.json", "/parameters", "/recipe", "/renditions", "/resumable",
  "/samples", "/session", "/settings", "/uploads",
];

export default defineConfig({
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
        assetFileNames: ({ names }) => (names.includes("index.css") ? "static/studio.css" : "static/[name][extname]"),
      },
    },
  },
  server: { proxy: Object.fromEntries(API.map((path) => [path, SERVER])) },
});
