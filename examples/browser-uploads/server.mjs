// The same server as server.py, for Node 20 or newer. It needs no packages.
//
// It never sees the bytes of a photo. It decides who may upload what, under which key, and asks the image
// processor for a form that allows just that. docs/learn/browser-uploads.md explains it step by step.
import {randomUUID} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {extname} from 'node:path';

const PORT = Number(process.env.PORT ?? 8080);
if (!process.env.IMGP_SERVER) throw new Error('expected the address of the image processor in IMGP_SERVER, got none');
// The API of the image processor: one machine's address, or the stack's output ApiUrl.
const IMAGES = process.env.IMGP_SERVER.replace(/\/*$/, '/');
// One machine asks for a token of the scope `write`, API Gateway for a key.
const {IMGP_TOKEN: TOKEN, IMGP_API_KEY: API_KEY} = process.env;
// Where the page sends photos to and shows them from, space-separated: on AWS the bucket and the CDN.
const ORIGINS = process.env.IMGP_ORIGINS ?? IMAGES;

const EXTENSIONS = {'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp', 'image/avif': 'avif'};
const MAX_BYTES = 10_000_000;
const MAX_REQUEST_BYTES = 1_000;
const FILES = {'/': 'index.html', '/upload.js': 'upload.js', '/style.css': 'style.css'};
const MEDIA_TYPES = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css'};
const HEADERS = {
  'Content-Security-Policy':
    `default-src 'self'; connect-src 'self' ${ORIGINS}; img-src 'self' ${ORIGINS}; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cache-Control': 'no-cache',
};

// What the visitor is told, with a status.
class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// Who sends the request. Put the session of your site here, and throw a Problem(401) without one.
function userOf(request) {
  return 'anna';
}

// The response of the image processor's API.
async function call(path, body) {
  const headers = {'content-type': 'application/json'};
  if (TOKEN) headers.authorization = `Bearer ${TOKEN}`;
  if (API_KEY) headers['x-api-key'] = API_KEY;
  const response = await fetch(IMAGES + path, {
    method: body ? 'POST' : 'GET',
    headers,
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  if (response.ok) return response.json();
  console.log(`${path}: ${response.status} ${await response.text()}`);
  if (response.status === 404) throw new Problem(404, 'no such photo');
  throw new Problem(502, 'the image processor refused the request');
}

// A form that uploads one photo of `user`: the visitor names neither its key nor its limits.
async function createForm(user, wish) {
  const {type, bytes} = wish;
  if (typeof type !== 'string' || !Object.hasOwn(EXTENSIONS, type)) {
    throw new Problem(415, `expected one of ${Object.keys(EXTENSIONS).join(', ')}, got ${type}`);
  }
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_BYTES) {
    throw new Problem(413, `expected 1-${MAX_BYTES} bytes, got ${bytes}`);
  }
  const key = `users/${user}/${randomUUID()}.${EXTENSIONS[type]}`;
  const form = await call('uploads', {key, content_type: type});
  return {id: form.id, url: new URL(form.url, IMAGES).href, fields: form.fields};
}

// How far a photo of `user` is, and its renditions.
async function photo(user, id) {
  const image = await call(`images/${id}`);
  if (!image.original.startsWith(`users/${user}/`)) throw new Problem(404, 'no such photo');
  const renditions = image.renditions
    .filter((row) => row.url)
    .map(({url, format, width, height}) => ({src: new URL(url, IMAGES).href, format, width, height}));
  return {status: image.status, message: image.message, renditions};
}

async function readJson(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    if (text.length <= MAX_REQUEST_BYTES) text += chunk;
  }
  if (text.length > MAX_REQUEST_BYTES) {
    throw new Problem(400, `expected at most ${MAX_REQUEST_BYTES} bytes of JSON`);
  }
  try {
    const value = JSON.parse(text);
    if (value && typeof value === 'object') return value;
  } catch {}
  throw new Problem(400, 'expected a JSON object');
}

async function postForm(request) {
  // A page of another site can send neither this type nor this header.
  const own = (request.headers['sec-fetch-site'] ?? 'same-origin') === 'same-origin';
  if (!own || request.headers['content-type']?.split(';')[0] !== 'application/json') {
    throw new Problem(403, 'expected JSON of a page of this site');
  }
  return createForm(userOf(request), await readJson(request));
}

async function answer(request) {
  if (request.method === 'POST' && request.url === '/upload-forms') return postForm(request);
  const match = request.method === 'GET' && request.url.match(/^\/photos\/([a-z0-9]{1,64})$/);
  if (match) return photo(userOf(request), match[1]);
  throw new Problem(404, 'no such page');
}

const server = createServer(async (request, response) => {
  const file = request.method === 'GET' && Object.hasOwn(FILES, request.url) && FILES[request.url];
  if (file) {
    response.writeHead(200, {...HEADERS, 'Content-Type': MEDIA_TYPES[extname(file)]});
    return response.end(await readFile(new URL(file, import.meta.url)));
  }
  let [status, content] = [200];
  try {
    content = await answer(request);
  } catch (error) {
    if (!(error instanceof Problem)) console.log(error);
    [status, content] = error instanceof Problem ? [error.status, {message: error.message}] : [502, {message: 'no response'}];
  }
  response.writeHead(status, {...HEADERS, 'Content-Type': 'application/json'});
  response.end(JSON.stringify(content));
});
server.listen(PORT, '127.0.0.1', () => console.log(`Serving http://127.0.0.1:${PORT}`));
