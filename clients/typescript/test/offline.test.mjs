// URLs and HTML without a server: they are what the server and the Python client write.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { UrlBuilder, imageId, img, imgProps, picture, quote, srcset } from "image-processor-client";
import { createLoader } from "image-processor-client/next";

const vectors = JSON.parse(readFileSync(new URL("../../vectors.json", import.meta.url), "utf8"));
const signingKey = "k1:a-secret-for-these-tests";

test("a signed URL is the server's", async () => {
  assert.ok(vectors.urls.length > 20);
  for (const { base, key, parameters, signing_key, expires, url } of vectors.urls) {
    const urls = new UrlBuilder({ base, signingKey: signing_key });
    assert.equal(await urls.url(key, parameters, { expires: expires ?? undefined }), url, key);
  }
});

test("an id is the server's", async () => {
  for (const { bucket, key, id } of vectors.ids) assert.equal(await imageId(bucket, key), id, key);
});

test("HTML is that of the Python client", async () => {
  assert.ok(vectors.markup.length > 5);
  for (const { base, signing_key, key, transformation, options, ...expected } of vectors.markup) {
    const urls = new UrlBuilder({ base, signingKey: signing_key });
    assert.equal(await srcset(urls, key, transformation, options), expected.srcset);
    assert.equal(await img(urls, key, transformation, options), expected.img);
    assert.equal(await picture(urls, key, transformation, options), expected.picture);
  }
});

test("without a key a URL is not signed", async () => {
  const urls = new UrlBuilder({ base: "/r/" });
  assert.equal(await urls.url("a b.jpg", { preset: "small", fm: "auto" }), "/r/a%20b.jpg?preset=small&fm=auto");
  await assert.rejects(urls.url("a.jpg", "w=1", { expires: 5 }), /expected a signing key for a URL that expires/);
  const signed = new UrlBuilder({ base: "/r", signingKey });
  assert.equal(signed.publicUrl("a.jpg", "w=1"), "/r/a.jpg?w=1");
  assert.doesNotMatch(JSON.stringify(signed), /secret/);
});

test("an end is Unix seconds or a Date", async () => {
  const urls = new UrlBuilder({ base: "/r", signingKey });
  const expires = new Date("2030-01-01T12:00:00.500Z");
  assert.equal(await urls.url("a.jpg", "w=1", { expires }), await urls.url("a.jpg", "w=1", { expires: 1893499200 }));
  await assert.rejects(urls.url("a.jpg", "w=1", { expires: new Date("x") }), /expected Unix seconds or a valid Date/);
});

test("wrong parameters, keys and bases are said", async () => {
  const urls = new UrlBuilder({ base: "/r" });
  for (const [transformation, message] of [
    ["", /expected parameters such as \{w: 640\}, got none/],
    ["w", /expected NAME=VALUE such as w=640, got "w"/],
    [{ widht: 3 }, /expected the name of a parameter such as w, got "widht"/],
    [{ constructor: 3 }, /got "constructor"/],
    ["w=1,width=2", /expected one value for w, got "1" and "2"/],
    [{ w: "1&x=2" }, /expected letters, digits.*for w, got "1&x=2"/],
    ["auto=enhance", /expected format or compress for auto, got "enhance"/],
  ]) {
    assert.throws(() => urls.publicUrl("a.jpg", transformation), { name: "TypeError", message });
  }
  for (const [key, message] of [["", /1-1024 bytes/], ["ä".repeat(513), /got 1026/], ["\ud800", /valid Unicode/]]) {
    assert.throws(() => urls.publicUrl(key, "w=1"), { name: "TypeError", message });
  }
  for (const base of ["img.example", "https://img.example/?x", "javascript:alert(1)"]) {
    assert.throws(() => new UrlBuilder({ base }), /expected a URL such as https:\/\/img.example, or a path/);
  }
  for (const wrong of ["", "no-colon", "a:short"]) {
    assert.throws(() => new UrlBuilder({ base: "/r", signingKey: wrong }), /expected ID:SECRET.*got something else/);
  }
  assert.throws(() => new UrlBuilder({ base: "/r", signingKey: "a:short" }), (error) => !error.message.includes("short"));
});

test("a text is quoted", () => assert.equal(quote("Grüße, Welt"), "Gr~c3~bc~c3~9fe~2c~20Welt"));

test("numbers, flags and repeated parameters are values", () => {
  const urls = new UrlBuilder({ base: "/r" });
  const url = urls.publicUrl("a.jpg", { fp: "0.5,0.25", w: 640, gam: 1.5, grey: true, over: ["text:A", "text:B"] });
  assert.equal(url, "/r/a.jpg?w=640&fp=0.5:0.25&gam=1.5&grey=1&over=text:A&over=text:B");
});

test("properties of an <img> are those of React", async () => {
  const urls = new UrlBuilder({ base: "/r" });
  assert.deepEqual(await imgProps(urls, "a.jpg", { w: 10, h: 5 }), {
    src: "/r/a.jpg?w=10&h=5&fm=auto",
    srcSet: "/r/a.jpg?w=10&h=5&fm=auto 1x, /r/a.jpg?w=20&h=10&fm=auto 2x",
    width: 10,
    height: 5,
  });
  assert.deepEqual(await imgProps(urls, "a.jpg", { preset: "small" }), { src: "/r/a.jpg?preset=small&fm=auto" });
  await assert.rejects(srcset(urls, "a.jpg", "h=5", { widths: [1, 2] }), /expected w beside h/);
  await assert.rejects(picture(urls, "a.jpg", "w=5", { alt: "", formats: ["bmp"] }), /expected some of avif, webp, jxl/);
  await assert.rejects(img(urls, "a.jpg", "w=5", { alt: "", attributes: { "a b": 1 } }), /the name of an attribute/);
});

test("a loader for next/image takes declared widths", () => {
  const any = createLoader({ base: "https://img.example" });
  assert.equal(any({ src: "/photos/a b.jpg", width: 640, quality: 75 }), "https://img.example/photos/a%20b.jpg?w=640&fm=auto");
  const declared = createLoader({ base: "/r", transformation: { preset: "small", fm: "webp" }, widths: [64, 32] });
  const widths = [16, 33, 999].map((width) => declared({ src: "a.jpg", width }));
  assert.deepEqual(widths, [32, 64, 64].map((width) => `/r/a.jpg?preset=small&w=${width}&fm=webp`));
});
