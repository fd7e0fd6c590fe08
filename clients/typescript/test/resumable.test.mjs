// Resumable uploads and imports against a running server, whose address is in the environment. tests/clients starts one.

import assert from "node:assert/strict";
import { openAsBlob, mkdtempSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { ApiError, Client, ConnectionFailed, NotFound, PreconditionFailed, Refused } from "image-processor-client";

const { IMAGES_URL: url, IMAGES_TOKEN: token, IMAGES_SOURCE: source, IMAGE: encoded } = process.env;
const jpeg = new Uint8Array(Buffer.from(encoded, "base64"));
const client = new Client({ url, token });
const CHUNK = 100_000;

/** What follows a JPEG's end is ignored, so this is an image of 350,000 bytes. */
const photo = new Uint8Array(350_000);
photo.set(jpeg);
photo.forEach((_, index) => index > jpeg.length && (photo[index] = index % 251));

const keyOf = (context) => `ts/${context.name}/ü+%20 ?#!'()*.jpg`;

async function original(id) {
  const response = await fetch(`${url}/images/${id}/original`, { headers: { authorization: `Bearer ${token}` } });
  return new Uint8Array(await response.arrayBuffer());
}

/** A proxy that breaks off a connection which has sent as many bytes as the first of `cuts`, and counts all of them. */
async function breaking(cuts) {
  const proxy = { received: 0 };
  const target = new URL(url);
  const server = net.createServer((socket) => {
    const through = net.connect(Number(target.port), target.hostname);
    let sent = 0;
    for (const end of [socket, through]) end.on("error", () => {}).on("close", () => (socket.destroy(), through.destroy()));
    through.pipe(socket);
    socket.on("data", (data) => {
      const isCut = cuts.length > 0 && sent + data.length >= cuts[0];
      const passed = isCut ? data.subarray(0, cuts.shift() - sent) : data;
      sent += passed.length;
      proxy.received += passed.length;
      through.write(passed, () => isCut && socket.destroy());
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(proxy, { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() });
}

test("a file is sent in parts", async (context) => {
  const path = join(mkdtempSync(join(tmpdir(), "client-")), "cat.jpg");
  writeFileSync(path, photo);
  const told = [];
  const begun = [];
  const upload = await client.uploadResumable(await openAsBlob(path), keyOf(context), {
    chunkBytes: CHUNK,
    onBegin: (resume) => begun.push(resume),
    onProgress: (sent, total) => told.push([sent, total]),
  });
  assert.deepEqual([upload.key, upload.bytes], [keyOf(context), photo.length]);
  assert.deepEqual(told.at(-1), [photo.length, photo.length]);
  assert.deepEqual(told.map(([sent]) => sent), told.map(([sent]) => sent).toSorted((a, b) => a - b));
  assert.equal(begun.length, 1);
  assert.deepEqual(await original(upload.id), photo);
  assert.equal((await client.wait(upload)).version, upload.version);
});

test("connections that break cost the rest of a part", async (context) => {
  const cuts = [150_000, 150_000];
  const proxy = await breaking(cuts);
  const upload = await new Client({ url: proxy.url, token }).uploadResumable(photo, keyOf(context));
  proxy.close();
  assert.deepEqual(await original(upload.id), photo);
  assert.deepEqual(cuts, []);
  assert.ok(proxy.received < photo.length + 200_000, `${proxy.received} bytes were sent`);
});

test("another process continues, and a signal stops", async (context) => {
  const key = keyOf(context);
  const stop = new AbortController();
  let resume;
  const first = client.uploadResumable(photo, key, {
    chunkBytes: CHUNK,
    signal: stop.signal,
    onBegin: (text) => (resume = text),
    onProgress: (sent) => sent >= 2 * CHUNK && stop.abort(new Error("the page is closed")),
  });
  await assert.rejects(first, { message: "the page is closed" });
  const told = [];
  const options = { resume, chunkBytes: CHUNK, onProgress: (sent) => told.push(sent) };
  const upload = await new Client({ url, token }).uploadResumable(photo, key, options);
  assert.ok(told[0] >= CHUNK, String(told[0])); // the second part was being sent
  assert.deepEqual(await original(upload.id), photo);
  assert.equal((await client.uploadResumable(photo, key, { resume })).version, upload.version);
  await assert.rejects(client.uploadResumable(jpeg, key, { resume }), TypeError);
});

test("an upload that the server does not know begins again", async (context) => {
  const begun = [];
  await client.uploadResumable(photo, keyOf(context), { resume: "/resumable/unknown", onBegin: (resume) => begun.push(resume) });
  assert.equal(begun.length, 1);
});

test("the rules of uploads hold", async (context) => {
  const key = keyOf(context);
  await client.upload(jpeg, key);
  await assert.rejects(client.uploadResumable(photo, key, { overwrite: false }), PreconditionFailed);
  await assert.rejects(client.uploadResumable(new Blob([]), key), Refused);
  await assert.rejects(client.uploadResumable(photo, "private/a.jpg"), { code: "skipped" });
  await assert.rejects(new Client({ url, token, uploads: "presigned" }).uploadResumable(photo, key), TypeError);
  await assert.rejects(new Client({ url: "http://127.0.0.1:9", token, attempts: 2 }).uploadResumable(photo, key), ConnectionFailed);
});

test("a file of a remote source is imported", async (context) => {
  const upload = await client.importUrl(`${source}cat.jpg`);
  assert.equal((await client.wait(upload)).original, "fetched/cat.jpg");
  const own = await client.importUrl(`${source}cat.jpg`, { key: keyOf(context), overwrite: false });
  assert.equal((await client.wait(own)).original, keyOf(context));
  assert.deepEqual(await original(own.id), jpeg);
  await assert.rejects(client.importUrl(`${source}cat.jpg`, { key: keyOf(context), overwrite: false }), PreconditionFailed);
  await client.importUrl(`${source}cat.jpg`, { key: keyOf(context), ifVersion: own.version });
  await assert.rejects(client.importUrl(`${source}none.jpg`), NotFound);
  await assert.rejects(client.importUrl("https://elsewhere.example/cat.jpg"), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.code], [403, "source-not-allowed"]);
    return true;
  });
});
