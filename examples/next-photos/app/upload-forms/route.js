// POST /upload-forms: a form with which the browser uploads one photo. GET /upload-forms?id=: how far it is.
import {randomUUID} from 'node:crypto';
import {progress, uploadForm} from '../../lib/images.mjs';

const EXTENSIONS = {'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp', 'image/avif': 'avif'};
const MAX_BYTES = 10_000_000;

const refuse = (status, message) => Response.json({message}, {status});

// Who sends the request. Put the session of your site here: null is answered by 401.
function userOf(request) {
  return 'anna';
}

export async function POST(request) {
  if (!userOf(request)) return refuse(401, 'expected somebody who has signed in');
  // A page of another site can send neither this type nor this header.
  const own = (request.headers.get('sec-fetch-site') ?? 'same-origin') === 'same-origin';
  if (!own || request.headers.get('content-type') !== 'application/json') {
    return refuse(403, 'expected JSON of a page of this site');
  }
  const {type, bytes} = (await request.json().catch(() => null)) ?? {};
  if (typeof type !== 'string' || !Object.hasOwn(EXTENSIONS, type)) {
    return refuse(415, `expected one of ${Object.keys(EXTENSIONS).join(', ')}, got ${type}`);
  }
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_BYTES) {
    return refuse(413, `expected 1-${MAX_BYTES} bytes, got ${bytes}`);
  }
  return Response.json(await uploadForm(`photos/${randomUUID()}.${EXTENSIONS[type]}`, type));
}

export async function GET(request) {
  const id = request.nextUrl.searchParams.get('id') ?? '';
  if (!/^[a-z0-9]{1,64}$/.test(id)) return refuse(404, 'no such photo');
  return Response.json(await progress(id));
}
