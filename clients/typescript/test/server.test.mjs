// The client against a running server, whose address and keys are in the environment. tests/clients starts one.

import assert from "node:assert/strict";
import { mkdtempSync, openAsBlob, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { ApiError, Client, NotFound, PreconditionFailed, Refused, UrlBuilder, WaitTimeout, srcset } from "image-processor-client";
import { createLoader } from "image-processor-client/next";

const { IMAGES_URL: url, IMAGES_TOKEN: token, IMAGES_SIGNING_KEY: signingKey, IMAGE: encoded } = process.env;
const jpeg = new Uint8Array(Buffer.from(encoded, "base64"));
const other = new Uint8Array([...jpeg, 0]);
const client = new Client({ url, token });
const base = `${url}/renditions`;

/** A key with characters that URLs escape. */
const keyOf = (context) => `ts/${context.name}/ü+%20 ?#!'()*.jpg`;

test("an upload is waited for, found, listed and deleted", async (context) => {
  const key = keyOf(context);
  const upload = await client.upload(jpeg, key);
  assert.equal(upload.bytes, jpeg.length);
  const image = await client.wait(upload);
  assert.deepEqual([image.original, image.status, image.facts.width], [key, "processed", 120]);
  assert.equal(await client.idOf(key), image.id);
  assert.deepEqual(await client.find(key), image);
  const listed = [];
  for await (const { id } of client.list({ prefix: key })) listed.push(id);
  assert.deepEqual(listed, [image.id]);
  await client.delete(image.id);
  assert.equal(await client.find(key), null);
  await assert.rejects(client.delete(image.id), NotFound);
});

test("a file is read from the disk and its progress is told", async (context) => {
  const path = join(mkdtempSync(join(tmpdir(), "client-")), "cat.jpg");
  writeFileSync(path, jpeg);
  const told = [];
  const upload = await client.upload(await openAsBlob(path), keyOf(context), {
    onProgress: (sent, total) => told.push([sent, total]),
  });
  assert.equal(upload.bytes, jpeg.length);
  assert.deepEqual(told.at(-1), [jpeg.length, jpeg.length]);
});

test("a file is not overwritten against the rule", async (context) => {
  const key = keyOf(context);
  const first = await client.upload(jpeg, key, { overwrite: false });
  await assert.rejects(client.upload(jpeg, key, { overwrite: false }), PreconditionFailed);
  const second = await client.upload(other, key, { ifVersion: first.version });
  await assert.rejects(client.upload(jpeg, key, { ifVersion: first.version }), PreconditionFailed);
  assert.equal((await client.wait(second)).version, second.version);
});

test("a form uploads without a token", async (context) => {
  const form = await client.presign(keyOf(context));
  const anybody = new Client({ url });
  const upload = await anybody.uploadForm(form, new File([jpeg], "cat.jpg"));
  assert.equal((await client.wait(upload)).original, form.key);
  const presigned = new Client({ url, token, uploads: "presigned" });
  assert.equal((await client.wait(await presigned.upload(other, form.key))).version.length > 0, true);
  await assert.rejects(anybody.get(form.id), { status: 401, code: "unauthorized" });
});

test("a refused file says why and what helps", async (context) => {
  const upload = await client.upload(new Blob(["no image"]), keyOf(context));
  await assert.rejects(client.wait(upload), (error) => {
    assert.ok(error instanceof Refused);
    assert.deepEqual([error.status, error.reason], [422, "not-an-image"]);
    assert.match(error.fix, /Send a JPEG/);
    return true;
  });
  await assert.rejects(client.upload(new Blob([]), keyOf(context)), Refused);
});

test("pages are iterated", async (context) => {
  const prefix = `ts/${context.name}/`;
  for (let number = 0; number < 3; number++) await client.wait(await client.upload(jpeg, `${prefix}${number}.jpg`));
  const names = [];
  for await (const image of client.list({ prefix, limit: 2, sort: "name", fields: "saving" })) names.push(image.original);
  assert.deepEqual(names, [0, 1, 2].map((number) => `${prefix}${number}.jpg`));
  const page = await client.page({ prefix, limit: 2, total: true });
  assert.deepEqual([page.images.length, page.total], [2, 3]);
  await assert.rejects(client.page({ limit: 5000 }), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual(error.problems, [{ name: "limit", expected: "1-1000", got: "5000" }]);
    return true;
  });
  await assert.rejects(client.wait("nosuchid", { timeout: 0.2 }), (error) => error instanceof WaitTimeout && error.image === null);
});

test("the server opens what the client signs, and processes and renders again", async (context) => {
  const key = keyOf(context);
  const image = await client.wait(await client.upload(jpeg, key));
  const urls = new UrlBuilder({ base, signingKey });
  const signed = await urls.url(key, { width: 17, format: "png", blur: 1 });
  const opened = await fetch(signed);
  assert.deepEqual([opened.status, opened.headers.get("content-type")], [200, "image/png"]);
  assert.equal((await (await fetch(signed.replace("w=17", "w=18"))).json()).code, "signature-mismatch");
  const listed = await srcset(urls, key, { w: 10 });
  for (const candidate of listed.split(", ")) assert.equal((await fetch(candidate.split(" ")[0])).status, 200);
  const loaded = await fetch(createLoader({ base, transformation: { preset: "small" }, widths: [32, 64] })({ src: key, width: 40 }), {
    headers: { accept: "image/webp" },
  });
  assert.deepEqual([loaded.status, loaded.headers.get("content-type")], [200, "image/webp"]);
  assert.equal((await client.reprocess(image.id, { wait: 60 })).revision, image.revision + 1);
  assert.equal((await client.process(key)).status, "processed");
  const made = await client.render(image.id, "w=50,fm=png");
  assert.equal((await fetch(url + made.url)).status, 200);
  assert.match((await client.markup(image.id, { widths: [10, 20], alt: "A cat" })).img, /alt="A cat"/);
});
