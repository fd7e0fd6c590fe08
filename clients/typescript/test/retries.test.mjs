// What the client retries, and its errors for servers that are not ours, with a fetch of the test's own.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, Client, ConnectionFailed, NotFound, Refused } from "image-processor-client";

const uploaded = { id: "a", key: "cat.jpg", bytes: 3, version: "v", status: "queued", image: "/images/a" };
const image = { id: "a", bucket: "uploads", original: "cat.jpg", status: "processed" };

/** A client whose requests get these answers, and the requests with their bodies. */
function scripted(answers, options = {}) {
  const requests = [];
  const fetch = async (url, init) => {
    const request = new Request(url, init);
    requests.push({ url: request.url, method: request.method, headers: request.headers, text: await request.text() });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { client: new Client({ url: "https://api.example/v1/", token: "t", fetch, attempts: 3, ...options }), requests };
}

function problem(status, code, headers = {}) {
  return Response.json({ title: "x", status, detail: "expected a, got b", code }, { status, headers });
}

const now = { "retry-after": "0" };

test("a temporary failure is retried with the whole file", async () => {
  for (const failure of [
    problem(503, "overloaded", now),
    problem(409, "claim-busy", now),
    problem(429, "too-many-requests", now),
    new Response("<html>Bad gateway</html>", { status: 502, headers: now }),
    new TypeError("fetch failed"),
  ]) {
    const { client, requests } = scripted([failure, Response.json(uploaded, { status: 201 })]);
    const told = [];
    const upload = await client.upload(new Blob(["abc"]), "a b.jpg", { onProgress: (...sizes) => told.push(sizes) });
    assert.equal(upload.id, "a");
    assert.deepEqual(requests.map(({ text }) => text), ["abc", "abc"]);
    assert.deepEqual(told, [[3, 3], [3, 3]]);
    assert.equal(requests[1].url, "https://api.example/v1/uploads/a%20b.jpg");
    assert.equal(requests[1].headers.get("authorization"), "Bearer t");
  }
});

test("what a retry does not cure is not retried", async () => {
  for (const status of [400, 403, 413, 422, 500, 501, 507]) {
    const { client, requests } = scripted([new Response("no", { status })]);
    await assert.rejects(client.get("a"), (error) => error instanceof ApiError && error.status === status);
    assert.equal(requests.length, 1);
  }
});

test("attempts end", async () => {
  const busy = scripted([problem(503, "unavailable", now), problem(503, "unavailable", now), problem(503, "unavailable", now)]);
  await assert.rejects(busy.client.get("a"), { name: "ApiError", message: "503 unavailable: expected a, got b" });
  assert.equal(busy.requests.length, 3);
  const gone = scripted([new TypeError("refused")], { attempts: 1 });
  await assert.rejects(gone.client.get("a"), (error) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.equal(error.message, "no response from https://api.example/v1/images/a: refused");
    return true;
  });
});

test("the attempts of one call have one key", async () => {
  const { client, requests } = scripted([problem(503, "unavailable", now), Response.json(image), Response.json(image)]);
  await client.reprocess("a");
  await client.process("cat.jpg");
  const [first, again, other] = requests.map(({ headers }) => headers.get("idempotency-key"));
  assert.equal(first, again);
  assert.match(other, /^[0-9a-f-]{36}$/);
  assert.notEqual(first, other);
});

test("a deletion whose response was lost is no error", async () => {
  await scripted([new TypeError("reset"), problem(404, "not-found")]).client.delete("a");
  await assert.rejects(scripted([problem(404, "not-found")]).client.delete("a"), NotFound);
});

test("the file goes to the bucket without the token", async () => {
  const form = { id: "a", key: "cat.jpg", url: "https://bucket.example", fields: { policy: "p" }, expires_at: "", max_bytes: 9 };
  const { client, requests } = scripted(
    [Response.json(form), new Response(null, { status: 204, headers: { etag: '"e"' } }), Response.json(image)],
    { uploads: "presigned" },
  );
  const upload = await client.upload(new TextEncoder().encode("abc"), "cat.jpg");
  assert.deepEqual([upload.id, upload.version, upload.bytes], ["a", "e", 3]);
  const [asked, posted] = requests;
  assert.equal(asked.text, '{"key":"cat.jpg"}');
  assert.equal(posted.url, "https://bucket.example/");
  assert.equal(posted.headers.get("authorization"), null);
  assert.ok(posted.text.indexOf('name="policy"') < posted.text.indexOf("abc"));
  await assert.rejects(client.upload(new Blob(["a"]), "a.jpg", { overwrite: false }), /a signed form has no conditions/);
});

test("a bucket explains itself in XML, API Gateway in JSON of its own", async () => {
  const xml = "<Error><Code>EntityTooLarge</Code><Message>Too large</Message></Error>";
  await assert.rejects(scripted([new Response(xml, { status: 400 })]).client.get("a"), { code: "EntityTooLarge", detail: "Too large" });
  const gateway = Response.json({ message: "Missing Authentication Token" }, { status: 403 });
  await assert.rejects(scripted([gateway]).client.get("a"), { code: "http-403", detail: "Missing Authentication Token" });
});

test("waiting ends by an abort, a refusal and a version", async () => {
  const waiting = scripted(Array.from({ length: 50 }, () => Response.json({ ...image, status: "queued" })));
  const signal = AbortSignal.timeout(50);
  await assert.rejects(waiting.client.wait("a", { signal }), { name: "TimeoutError" });
  const refused = scripted([Response.json({ ...image, status: "refused", reason: "empty", message: "m", fix: "f" })]);
  await assert.rejects(refused.client.wait("a"), (error) => error instanceof Refused && error.reason === "empty" && error.fix === "f");
  const replaced = scripted([Response.json({ ...image, version: "old" }), Response.json({ ...image, version: "v" })]);
  assert.equal((await replaced.client.wait(uploaded)).version, "v");
});

test("an address is one of HTTP", () => {
  assert.throws(() => new Client({ url: "x" }), /expected the API's address such as http:\/\/127.0.0.1:8000, got "x"/);
});

test("a part is sent again from where the server has it", async () => {
  const about = { "upload-length": "5", "upload-metadata": "key Y2F0LmpwZw==" };
  const at = (status, offset, headers = {}) => new Response(null, { status, headers: { "upload-offset": String(offset), ...headers } });
  const { client, requests } = scripted(
    [
      new Response(null, { status: 201, headers: { location: "resumable/a" } }),
      new TypeError("fetch failed"),
      at(200, 2, about),
      problem(409, "conflict"),
      at(200, 3, about),
      problem(503, "unavailable", now),
      new Response(null, { status: 423 }),
      at(200, 4, about),
      at(204, 5, { "content-location": "/images/i", etag: '"v"' }),
    ],
    { attempts: 5 },
  );
  const upload = await client.uploadResumable(new Blob(["a cat"]), "cat.jpg");
  assert.deepEqual([upload.id, upload.version, upload.image], ["i", "v", "/images/i"]);
  assert.deepEqual(
    requests.map(({ method, headers, text }) => [method, headers.get("upload-offset"), text]),
    [
      ["POST", null, ""],
      ["PATCH", "0", "a cat"],
      ["HEAD", null, ""],
      ["PATCH", "2", "cat"],
      ["HEAD", null, ""],
      ["PATCH", "3", "at"],
      ["HEAD", null, ""],
      ["HEAD", null, ""],
      ["PATCH", "4", "t"],
    ],
  );
  assert.equal(requests[1].url, "https://api.example/v1/resumable/a");
  assert.ok(requests.every(({ headers }) => headers.get("authorization") === "Bearer t"));
});

test("a part that never arrives is given up", async () => {
  const about = { "upload-length": "5", "upload-metadata": "key Y2F0LmpwZw==", "upload-offset": "0" };
  const { client, requests } = scripted([
    new Response(null, { status: 201, headers: { location: "resumable/a" } }),
    ...[1, 2].flatMap(() => [new TypeError("fetch failed"), new Response(null, { headers: about })]),
    new TypeError("fetch failed"),
  ]);
  await assert.rejects(client.uploadResumable(new Blob(["a cat"]), "cat.jpg"), ConnectionFailed);
  assert.equal(requests.length, 6);
});
