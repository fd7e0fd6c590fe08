// Before the cache: refuse what nobody may see, and give each picture one address, whatever URL asks for
// it. What is answered here is read by no origin and kept by no cache. URLs are read as
// delivery/grammar.py reads them (a test holds the two together); write.py makes this file small and puts
// it into the template. njs runs it: no for-of, no destructuring, and its $ also fits before a last line
// feed, for which (?![\s\S]) stands here.
import cf from 'cloudfront';
import crypto from 'crypto';

// What the deployment allows, kept by publish.py. k/KID: a key's secret. n/NAME and p/PRESET: everybody
// may see it, of some originals or ("all") of every one; names: these lists are complete. hints: client
// hints are heard, in the steps of ladder. dialects: we speak some.
const kvs = cf.kvs();

// <tables>
const ORDER = 'preset frame frames orient trim trim-bg rect rot flip w h ar min-w min-h zoom dpr fit g gx gy fp bg enlarge linear norm equal gam bri con sat hue grey sepia tint duo neg median blur sharp conv px over round ellipse op pad edge q max-bytes prog chroma moz effort lossless colours fm'.split(' ');
const MANY = ['over'];
const CASED = ['over', 'preset'];
const POINT = ['fp', 'fp-x', 'fp-y'];
const ALIASES = {rotate: 'rot', width: 'w', height: 'h', crop: 'g', gravity: 'g', background: 'bg', gamma: 'gam', brightness: 'bri', contrast: 'con', saturation: 'sat', gray: 'grey', grayscale: 'grey', greyscale: 'grey', invert: 'neg', sharpen: 'sharp', pixelate: 'px', padding: 'pad', quality: 'q', colors: 'colours', format: 'fm'};
const AUTO_WORDS = {format: ['fm', 'auto'], compress: ['q', 'auto']};
const VALUE_ALIASES = {fm: {jpg: 'jpeg', tif: 'tiff'}, fit: {crop: 'cover', clip: 'inside', max: 'inside', scale: 'fill', pad: 'contain'}, g: {center: 'centre', top: 'north', bottom: 'south', left: 'west', right: 'east', 'top:left': 'northwest', 'left:top': 'northwest', 'top:right': 'northeast', 'right:top': 'northeast', 'bottom:left': 'southwest', 'left:bottom': 'southwest', 'bottom:right': 'southeast', 'right:bottom': 'southeast', smart: 'attention', edges: 'entropy', face: 'faces'}};
const EXTENSIONS = {jpeg: 'jpg', png: 'png', webp: 'webp', avif: 'avif', gif: 'gif', tiff: 'tif', heic: 'heic', jxl: 'jxl', svg: 'svg'};
const REFUSALS = {missing: ['expected a signature, got none', 'Ask for a rendition that the recipe declares, or sign the URL.'], 'key-unknown': ['expected the id of a key in use for kid, got another', 'Sign the URL with a key that is in use.'], mismatch: ['expected a signature of this URL, got another one', 'Sign the URL again: it, or its signature, was changed.'], expired: ['expected a URL that has not ended, got one that has', 'Sign the URL again, with a later end.']};
const OF_S3 = /^([xX]-|response-|(accelerate|acl|analytics|attributes|cors|delete|encryption|inventory|legal-hold|lifecycle|list-type|location|logging|metrics|notification|object-lock|ownershipControls|partNumber|policy|policyStatus|publicAccessBlock|replication|requestPayment|restore|retention|select|session|tagging|torrent|uploadId|uploads|versionId|versioning|versions|website|AWSAccessKeyId|Signature|Expires)(?![\s\S]))/;
// </tables>

const DECIDING = 'accept sec-ch-width width sec-ch-dpr dpr x-expires'.split(' ');
const NAMED = /^(~?)((?:[a-z-]+=[^,\/]*(?:,[a-z-]+=[^,\/]*)*)?)(?![\s\S])/;
const STORED = /^(?:[a-z-]+=[^,\/]*,)*fm=[a-z]+\.[a-z0-9]+(?![\s\S])/;

async function handler(event) {
  const request = event.request;
  const headers = request.headers;
  const query = request.rawQueryString() || '';
  let path;
  try {
    path = decodeURIComponent(request.uri);
  } catch (error) {
    return refusal(400, 'invalid-request', 'expected percent-encoded UTF-8 for the path');
  }
  // Records and claims lie beside the renditions under this name; it is nobody's original.
  if (/^\/+\.image-processor(\/|$)/.test(path)) return refusal(404, 'not-found', 'expected a rendition');
  const asks = {accept: outcome(headers.accept), width: hint(headers, 'width'), dpr: hint(headers, 'dpr')};
  DECIDING.forEach(name => {
    delete headers[name];
  });
  const last = path.slice(path.lastIndexOf('/') + 1);
  const address = read(path.slice(1), query, request.uri.length - 1 + query.length);
  const seal = address.seal;
  if (address.bad) {
    // Nobody has signed what cannot be read.
    if (/(^|&)(s|kid)=/.test(query)) return forbidden('mismatch');
    // The name of a rendition in another version's words, or told by a digest.
    if (!query && STORED.test(last)) return await shown('n/' + last) ? sent(request, path) : forbidden('missing');
    if (last[0] != '~' && await look('dialects')) return foreign(request, asks, query);
    return refusal(400, 'invalid-request', address.bad);
  }
  if (seal) {
    const wrong = await verdict(seal, address.signed);
    if (wrong) return forbidden(wrong);
  } else if (last[0] == '~' && (address.named || !address.text)) {
    return forbidden('missing');
  } else if (!address.text) {
    if (await look('dialects')) return foreign(request, asks, query);
    return await shown('n/') ? sent(request, path) : forbidden('missing');
  }
  return await settled(request, asks, address);
}

// One address for what may be seen, with what of the client has a say in it.
async function settled(request, asks, address) {
  const found = address.found;
  const seal = address.seal;
  const format = (found.fm || [''])[0];
  const preset = (found.preset || [''])[0];
  const wide = found.w == 'auto';
  const dense = found.dpr == 'auto';
  if (wide || dense) {
    if (await look('hints') != '1') return refusal(400, 'invalid-request', 'expected numbers for w and dpr');
    const ladder = (await look('ladder') || '').split(',').map(Number);
    const step = wide && asks.width && (ladder.find(one => one >= asks.width) || ladder[ladder.length - 1]);
    if (step) request.headers['sec-ch-width'] = {value: '' + step};
    // The width counts device pixels already.
    else if (dense && asks.dpr) request.headers['sec-ch-dpr'] = {value: '' + Math.ceil(Math.min(asks.dpr, 4))};
  }
  // Only where the client decides do its wishes tell objects of the cache apart.
  if (asks.accept && (format ? format == 'auto' : preset)) request.headers.accept = {value: asks.accept};
  const name = address.text + (own(EXTENSIONS, format) ? '.' + EXTENSIONS[format] : '');
  const open = preset ? 'p/' + preset : 'n/' + name;
  if (!seal && !await shown(open)) return forbidden('missing');
  const proof = seal ? ['kid=' + seal.kid].concat(seal.expires ? 'expires=' + seal.expires : [], 's=' + seal.s) : [];
  // Too long for a name: under this address nothing is stored.
  if (address.text.length > 200 || encodeURI(address.key).replace(/%../g, '%').length > 700) {
    if (/(^|\/)(~[^\/]*|[^\/]*fm=[^\/]*)(?![\s\S])/.test(address.key)) return refusal(400, 'invalid-request', 'expected a shorter URL');
    return sent(request, '/' + address.key, address.pairs.concat(proof));
  }
  const hidden = seal && (preset || !own(EXTENSIONS, format) || await look(open) != 'all');
  return sent(request, '/' + address.key + '/' + (hidden ? '~' : '') + name, proof);
}

// A URL of another grammar, which the deliver function judges.
function foreign(request, asks, query) {
  if (asks.accept) request.headers.accept = {value: asks.accept};
  const kept = query.split('&').filter(pair => !OF_S3.test(plain(pair.split('=')[0])));
  const ends = kept.find(pair => /^expires=/.test(pair));
  if (ends) request.headers['x-expires'] = {value: ends};
  request.querystring = kept.join('&');
  return request;
}

function sent(request, path, pairs) {
  request.uri = encodeURI(path).replace(/[?#+]/g, one => encodeURIComponent(one));
  request.querystring = (pairs || []).join('&');
  return request;
}

// ---------------------------------------------------------------- what may be seen

async function look(key) {
  try {
    return await kvs.get(key);
  } catch (error) {
    return '';
  }
}

async function shown(key) {
  return await look(key) || await look('names') != '1';
}

async function verdict(seal, text) {
  if (!seal.s) return 'missing';
  const secret = await look('k/' + (seal.kid || ''));
  if (!secret) return 'key-unknown';
  const right = crypto.createHmac('sha256', secret).update(text).digest('base64url');
  let wrong = right.length ^ seal.s.length;
  for (let i = 0; i < right.length; i++) wrong |= right.charCodeAt(i) ^ seal.s.charCodeAt(i);
  if (wrong) return 'mismatch';
  const ends = seal.expires;
  if (ends != null && !(/^\d{1,11}(?![\s\S])/.test(ends) && +ends > Date.now() / 1000)) return 'expired';
}

function forbidden(kind) {
  return refusal(403, 'signature-' + kind, REFUSALS[kind][0], REFUSALS[kind][1]);
}

function refusal(status, code, detail, fix) {
  const title = {400: 'Bad Request', 403: 'Forbidden', 404: 'Not Found'}[status];
  return {
    statusCode: status,
    statusDescription: title,
    headers: {
      'cache-control': {value: 'no-store'},
      'content-type': {value: 'application/problem+json'},
      'strict-transport-security': {value: 'max-age=31536000'},
      'x-content-type-options': {value: 'nosniff'}
    },
    body: JSON.stringify({type: 'about:blank', title: title, status: status, detail: detail, code: code, fix: fix})
  };
}

// ---------------------------------------------------------------- what the client wishes

// Which of AVIF and WebP to send, as delivery/negotiate.py decides it; one without the other only if WebP.
function outcome(header) {
  const weights = {};
  const all = header ? (header.multiValue || [header]).map(one => one.value).join(',') : '';
  all.toLowerCase().split(',').forEach(part => {
    const pieces = part.split(';').map(piece => piece.trim());
    const q = pieces.slice(1).find(piece => /^q=/.test(piece));
    const text = q ? q.slice(2).trim() : '1';
    const weight = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\s\S])/.test(text) ? +text : 0;
    weights[pieces[0]] = weight >= 0 && weight <= 1 ? weight : 0;
  });
  const least = ['image/jpeg', 'image/*', '*/*'].find(range => own(weights, range));
  const floor = least ? weights[least] : 0;
  const avif = weights['image/avif'] || 0;
  const webp = weights['image/webp'] || 0;
  if (!webp || webp < floor) return '';
  return avif && avif >= floor && avif >= webp ? 'image/avif,image/webp' : 'image/webp';
}

function hint(headers, name) {
  const header = headers['sec-ch-' + name] || headers[name];
  const text = header ? header.value.trim() : '';
  return /^\d{1,5}(\.\d{1,3})?(?![\s\S])/.test(text) ? +text : 0;
}

// ---------------------------------------------------------------- our grammar

// What a decoded path and a query say: {key, found, pairs, text, signed, seal, named}, or {bad}, in words.
function read(path, query, size) {
  if (size > 8192) return {bad: 'expected at most 8192 bytes for the URL'};
  const seal = {};
  let given = [];
  let sealed = 0;
  try {
    query.split('&').forEach(part => {
      if (!part) return;
      const at = (part + '=').indexOf('=');
      const name = plain(part.slice(0, at));
      const value = plain(part.slice(at + 1));
      if (/^(expires|kid|s)(?![\s\S])/.test(name)) {
        sealed++;
        seal[name] = value;
      } else if (name != 'v') given.push([name, value]);
    });
  } catch (error) {
    return {bad: 'expected percent-encoded UTF-8 for the query'};
  }
  if (sealed > Object.keys(seal).length) return {bad: 'expected s, kid and expires at most once each'};
  const slash = path.lastIndexOf('/');
  const match = slash > 0 && !given.length && NAMED.exec(withoutExtension(path.slice(slash + 1)));
  const named = !!match && !!(match[1] || match[2]);
  if (named) {
    path = path.slice(0, slash);
    given = match[2] ? match[2].split(',').map(pair => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]) : [];
  }
  return said(path, given, sealed ? seal : null, named);
}

function said(key, given, seal, named) {
  const found = {};
  const bad = [];
  expanded(given).forEach(pair => {
    const name = pair[0];
    const value = pair[1];
    const values = own(found, name) ? found[name] : [];
    if (ORDER.indexOf(name) < 0 || /[^\w.:;~-]/.test(value)) bad.push(name);
    else if (MANY.indexOf(name) >= 0 || values.indexOf(value) < 0) found[name] = values.concat(value);
  });
  const pairs = [];
  ORDER.forEach(name => {
    const values = found[name] || [];
    if (values.length > 1 && MANY.indexOf(name) < 0) bad.push(name);
    values.forEach(value => pairs.push(name + '=' + value));
  });
  if (bad.length) return {bad: 'expected known names, each with one plain value, got another: ' + bad.join(', ')};
  const proof = {};
  if (seal && seal.expires != null) proof.expires = [seal.expires];
  if (seal && seal.kid != null) proof.kid = [seal.kid];
  const signed = ORDER.concat('expires', 'kid').sort().map(name =>
    (found[name] || proof[name] || []).map(value => name + '=' + value).join('&')).filter(one => one).join('&');
  return {key: key, found: found, pairs: pairs, text: pairs.join(','), signed: key + '?' + signed, seal: seal, named: named};
}

// Each pair under our own name, imgix' combined ones taken apart or put together.
function expanded(given) {
  const pairs = [];
  const point = {};
  given.forEach(pair => {
    const said = lower(pair[0]);
    const name = own(ALIASES, said) ? ALIASES[said] : said;
    const value = valued(name, pair[1]);
    if (name == 'auto') {
      value.split(':').forEach(word => pairs.push(own(AUTO_WORDS, word) ? AUTO_WORDS[word] : [name, word]));
    } else if (name == POINT[1] || name == POINT[2]) point[name] = value;
    else pairs.push([name, value]);
  });
  const parts = POINT.slice(1).filter(name => own(point, name));
  if (parts.length > 1) return pairs.concat([[POINT[0], parts.map(name => point[name]).join(':')]]);
  return pairs.concat(parts.map(name => [name, point[name]]));
}

function valued(name, value) {
  value = value.replace(/^#/, '').replace(/,/g, ':');
  if (CASED.indexOf(name) >= 0) return value.replace(/~[0-9a-f]{2}/gi, lower);
  value = lower(value);
  if (value == 'true') value = '1';
  if (value == 'false') value = '0';
  return own(VALUE_ALIASES, name) && own(VALUE_ALIASES[name], value) ? VALUE_ALIASES[name][value] : value;
}

function withoutExtension(name) {
  const dot = name.lastIndexOf('.');
  const stem = name.slice(0, Math.max(dot, 0));
  const at = stem.lastIndexOf('fm=');
  const format = at < 0 ? stem : stem.slice(at + 3);
  return own(EXTENSIONS, format) && EXTENSIONS[format] == name.slice(dot + 1) ? stem : name;
}

// Letters of ASCII, and the one sign beside them (Kelvin's) that becomes one.
function lower(text) {
  return text.replace(/[A-Z\u212a]/g, sign => sign.toLowerCase());
}

// Decoded as Python does it: what is no escape stays.
function plain(text) {
  return decodeURIComponent(text.replace(/\+/g, ' ').replace(/%(?![0-9a-f]{2})/gi, '%25'));
}

function own(table, name) {
  return Object.prototype.hasOwnProperty.call(table, name);
}
