// Signs a URL of the image processor, as docs/urls.md describes it. Needs no packages.
//
//     IMGP_SIGNING_KEY=a:SECRET node sign.mjs family/cat.jpg 600 w=320 fm=avif
import {createHmac} from 'node:crypto';
import {fileURLToPath} from 'node:url';

// The path and the query that open one rendition of `key` until `expires`, in seconds since 1970.
// `signingKey` is ID:SECRET. Spell parameters as docs/urls.md does: the signature covers their text.
export function signedPath(key, parameters, expires, signingKey) {
  const [, kid, secret] = signingKey.match(/^([^:]+):(.+)$/);
  const query = Object.entries({...parameters, expires, kid}).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = `${key}?${query.map(([name, value]) => `${name}=${value}`).join('&')}`;
  const signature = createHmac('sha256', secret).update(text).digest('base64url');
  const path = key.split('/').map(encodeURIComponent).join('/');
  return `${path}?${new URLSearchParams([...query, ['s', signature]])}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [key, seconds, ...pairs] = process.argv.slice(2);
  const parameters = Object.fromEntries(pairs.map((pair) => pair.match(/^([^=]+)=(.*)$/s).slice(1)));
  const expires = Math.floor(Date.now() / 1000) + Number(seconds);
  console.log(signedPath(key, parameters, expires, process.env.IMGP_SIGNING_KEY));
}
