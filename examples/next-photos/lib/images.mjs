// The image processor's API. Only for code that runs on the server: it has the token.
const API = process.env.IMGP_SERVER?.replace(/\/*$/, '/');
const {IMGP_TOKEN: TOKEN, IMGP_API_KEY: API_KEY} = process.env;

async function call(path, body) {
  if (!API) throw new Error('expected the address of the image processor in IMGP_SERVER, got none');
  const headers = {'content-type': 'application/json'};
  if (TOKEN) headers.authorization = `Bearer ${TOKEN}`;
  if (API_KEY) headers['x-api-key'] = API_KEY;
  const response = await fetch(API + path, {
    method: body ? 'POST' : 'GET',
    headers,
    body: body && JSON.stringify(body),
    cache: 'no-store',
    signal: AbortSignal.timeout(30_000),
  });
  if (response.ok) return response.json();
  console.error(`${path}: ${response.status} ${await response.text()}`);
  throw new Error(`expected a response of the image processor, got ${response.status}`);
}

// The newest photos that have renditions.
export async function photos() {
  const {images} = await call('images?prefix=photos/&status=processed&fields=facts&limit=60');
  return images.map(({id, original, facts}) => ({id, key: original, width: facts.width, height: facts.height}));
}

// How far a photo is: queued, processing, processed or refused.
export async function progress(id) {
  const {original, status, message} = await call(`images/${encodeURIComponent(id)}?fields=message`);
  return original.startsWith('photos/') ? {status, message} : {status: 'unknown', message: null};
}

// A form that uploads one photo, whose key the server chooses.
export async function uploadForm(key, type) {
  const {id, url, fields} = await call('uploads', {key, content_type: type});
  return {id, url: new URL(url, API).href, fields};
}
