// CloudFront function at viewer request, before the cache: rejects what may not be seen, and rewrites every
// URL of a rendition to one canonical address. Its own responses reach no origin and no cache. It parses URLs
// as delivery/url/parser.py does (a test compares the two); generate.py minifies this file into the template.
// CloudFront's njs has no for-of and no destructuring, and its $ also matches before a final line feed:
// (?![\s\S]) stands for it here.
import cf from 'cloudfront';
import crypto from 'crypto';

// What the deployment allows; the function publish writes it. k/KID: the secret of a key. n/NAME and p/PRESET: public for
// some originals or ("all") for every one, or the modern formats that an unsigned request may get. names: these
// lists are complete. unsigned: every rendition is public. hints: the widths that client hints are rounded
// up to, if they are enabled. dialects: a dialect is enabled, `imgix` if that is among them. The template adds CORS_ORIGIN, the parameter
// RenditionOrigin.
const kvs = cf.kvs();

// <tables>
const PARAMETER_ORDER = 'preset frame frames orient trim trim-bg trim-last trim-eq rect rot flip w h ar min-w min-h zoom dpr fit g gx gy fp bg enlarge linear norm equal gam bri con sat hue grey sepia tint duo neg median blur sharp conv px over round ellipse op pad edge then q max-bytes soft prog chroma moz effort lossless colours colour keep-smaller fm'.split(' ');
const IGNORED = 'v gclid dclid gbraid wbraid gad_source gad_campaignid fbclid msclkid ttclid twclid li_fat_id yclid igshid mc_cid mc_eid _gl srsltid'.split(' ');
const IGNORED_PREFIX = 'utm_';
const REPEATABLE = ['over', 'then'];
const CASE_SENSITIVE = ['over', 'preset', 'then'];
const FOCAL_POINT = ['fp', 'fp-x', 'fp-y'];
const ALIASES = {rotate: 'rot', width: 'w', height: 'h', crop: 'g', gravity: 'g', background: 'bg', gamma: 'gam', brightness: 'bri', contrast: 'con', saturation: 'sat', gray: 'grey', grayscale: 'grey', greyscale: 'grey', invert: 'neg', sharpen: 'sharp', pixelate: 'px', padding: 'pad', quality: 'q', colors: 'colours', color: 'colour', format: 'fm'};
const AUTO_WORDS = {format: ['fm', 'auto'], compress: ['q', 'auto']};
const VALUE_ALIASES = {fm: {jpg: 'jpeg', tif: 'tiff'}, fit: {crop: 'cover', clip: 'inside', max: 'inside', scale: 'fill', pad: 'contain'}, g: {center: 'centre', top: 'north', bottom: 'south', left: 'west', right: 'east', smart: 'attention', edges: 'entropy', face: 'faces'}};
const EXTENSIONS = {jpeg: 'jpg', tiff: 'tif'};
'png webp avif gif apng avifs heic jxl svg'.split(' ').forEach(name => EXTENSIONS[name] = name);
const FIXES = {missing: 'Request a rendition that the recipe declares, or sign the URL.', 'key-unknown': 'Sign the URL with a key that is in use.', mismatch: 'Sign the URL again: it, or its signature, was changed.', expired: 'Sign the URL again, with a later expiry.'};
const DIALECT_PARAMETERS = 'signature expires animated blur convolve extract fit flatten flip flop format grayscale greyscale height normalize quality resize rotate sharpen smartCrop stripExif stripIcc tint watermark width url w h q fm position v'.split(' ');
const S3_PARAMETERS = 'accelerate acl analytics attributes awsaccesskeyid continuation-token cors delete delimiter encoding-type encryption expires fetch-owner inventory key-marker legal-hold lifecycle list-type location logging marker max-keys max-parts metrics notification object-lock ownershipcontrols part-number-marker partnumber policy policystatus prefix publicaccessblock replication requestpayment restore retention select session signature start-after tagging torrent upload-id-marker uploadid uploads version-id-marker versionid versioning versions website'.split(' ');
// </tables>

// The corners, in both orders.
['top', 'bottom'].forEach(row => ['left', 'right'].forEach(column => {
  const words = VALUE_ALIASES.g;
  words[row + ':' + column] = words[column + ':' + row] = words[row] + words[column];
}));

const NOT_UTF_8 = 'expected percent-encoded UTF-8 for the query';
const KEY_HEADERS = 'accept sec-ch-width width sec-ch-dpr dpr x-expires'.split(' ');
const RENDITION_NAME = /^(~?)((?:[a-z-]+=[^,\/]*(?:,[a-z-]+=[^,\/]*)*)?)(?![\s\S])/;
const STORED_NAME = /^(?:[a-z-]+=[^,\/]*,)*fm=[a-z]+\.[a-z0-9]+(?![\s\S])/;

async function handler(event) {
  const request = event.request;
  const headers = request.headers;
  if (request.method == 'OPTIONS') return preflight(headers.origin ? headers.origin.value : '');
  const query = request.rawQueryString() || '';
  let path;
  try {
    path = decodeURIComponent(request.uri);
  } catch (error) {
    return invalid('expected percent-encoded UTF-8 for the path');
  }
  // Records and leases are stored next to the renditions under this prefix, which is no original.
  if (/^\/+\.image-processor(\/|$)/.test(path)) return errorResponse(404, 'Not Found', 'not-found', 'expected a rendition');
  const client = {accept: acceptedFormats(headers.accept), width: hint(headers, 'width'), dpr: hint(headers, 'dpr')};
  KEY_HEADERS.forEach(name => {
    delete headers[name];
  });
  const last = path.slice(path.lastIndexOf('/') + 1);
  const onDemand = last[0] == '~';
  // Every query may be imgix's, unless it has a signature of the project's own: imgix's is MD5.
  if (!onDemand && /(^|&)(?!v=|&)./.test(query) && !/(^|&)(kid=|s=(?![0-9a-f]{32}(?![^&])))/.test(query) &&
    await lookup('dialects') == 'imgix') return forwardDialect(request, client, query, true);
  const url = parseUrl(path.slice(1), query, request.uri.length - 1 + query.length);
  const signature = url.signature;
  if (url.error) {
    // A URL that cannot be parsed was never signed.
    if (/(^|&)(s|kid)=/.test(query)) return forbidden('mismatch');
    // A stored name of another version's parameters, or a digest.
    if (!query && STORED_NAME.test(last)) return await isPublic('n/' + last) ? forward(request, path) : forbidden('missing');
    if (!onDemand && await lookup('dialects')) return forwardDialect(request, client, query);
    return invalid(url.error);
  }
  if (signature) {
    const problem = await signatureError(signature, url.stringToSign);
    if (problem) return forbidden(problem);
  } else if (onDemand && (url.named || !url.text) && !await lookup('unsigned')) {
    return forbidden('missing');
  } else if (!url.text) {
    if (await lookup('dialects')) return forwardDialect(request, client, query);
    return await isPublic('n/') ? forward(request, path) : forbidden('missing');
  }
  return await forwardCanonical(request, client, url, onDemand && url.named);
}

// Forward an allowed request to its canonical address, with the client's headers that it depends on.
async function forwardCanonical(request, client, url, onDemand) {
  const found = url.values;
  const signature = url.signature;
  const format = (found.fm || [''])[0];
  const preset = (found.preset || [''])[0];
  const hintedWidth = found.w == 'auto';
  const hintedDpr = found.dpr == 'auto';
  if (hintedWidth || hintedDpr) {
    const hints = await lookup('hints');
    if (!hints) return invalid('expected numbers for w and dpr');
    const ladder = hints.split(',').map(Number);
    const step = hintedWidth && client.width && (ladder.find(step => step >= client.width) || ladder[ladder.length - 1]);
    if (step) request.headers['sec-ch-width'] = {value: '' + step};
    // A hinted width is in device pixels already.
    else if (hintedDpr && client.dpr) request.headers['sec-ch-dpr'] = {value: '' + Math.ceil(Math.min(client.dpr, 4))};
  }
  const name = url.text + (has(EXTENSIONS, format) ? '.' + EXTENSIONS[format] : '');
  const published = await lookup(preset ? 'p/' + preset : 'n/' + name);
  if (!signature && !published && await lookup('names')) return forbidden('missing');
  // Accept is part of the cache key only if it decides the format: among all formats, or among the published
  // ones, as delivery/resolve.py decides.
  let accept = (format ? format == 'auto' : preset) ? client.accept : '';
  if (!signature && published) accept = accept.split(',').filter(type => published.indexOf(type.slice(6)) >= 0).join();
  if (accept) request.headers.accept = {value: accept};
  const signatureQuery = signature ? ['kid=' + signature.kid].concat(signature.expires ? 'expires=' + signature.expires : [], 's=' + signature.s) : [];
  // Too long for a stored name: forwarded with a query.
  if (url.text.length > 200 || encodeURI(url.key).replace(/%../g, '%').length > 700) {
    if (/(^|\/)(~[^\/]*|[^\/]*fm=[^\/]*)(?![\s\S])/.test(url.key)) return invalid('expected a shorter URL');
    return forward(request, '/' + url.key, url.pairs.concat(signatureQuery));
  }
  const hidden = signature ? preset || !has(EXTENSIONS, format) || published != 'all' : onDemand;
  return forward(request, '/' + url.key + '/' + (hidden ? '~' : '') + name, signatureQuery);
}

// The response to a CORS preflight, with the headers that the response headers policy has for it.
function preflight(origin) {
  const headers = {allow: 'GET, HEAD, OPTIONS'};
  const pattern = CORS_ORIGIN.split('*').map(part => part.replace(/\./g, '\\.')).join('.*');
  if (CORS_ORIGIN && RegExp('^' + pattern + '(?![\\s\\S])').test(origin)) {
    const cors = 'access-control-';
    headers[cors + 'allow-origin'] = CORS_ORIGIN == '*' ? '*' : origin;
    headers[cors + 'allow-methods'] = headers.allow;
    headers[cors + 'allow-headers'] = '*';
    headers[cors + 'max-age'] = '86400';
  }
  return response(204, headers);
}

// A URL of a dialect: the deliver function parses and verifies it. Other parameters than those of dialects are
// left out: each would be another object to cache. DIT's signature covers all parameters, so a URL with one keeps
// them, but never one that S3 would obey. So does a signed one of imgix; from an unsigned one only those of imgix's
// clients and of trackers are left out, as imgix has too many parameters to list.
function forwardDialect(request, client, query, imgix) {
  if (client.accept) request.headers.accept = {value: client.accept};
  const pairs = query.split('&').filter(pair => pair);
  let names;
  try {
    names = pairs.map(pair => decode(pair.split('=')[0]));
  } catch (error) {
    return invalid(NOT_UTF_8);
  }
  const signed = names.indexOf('signature') >= 0 || imgix && /(^|&)s=/.test(query);
  const kept = pairs.filter((_, i) => DIALECT_PARAMETERS.indexOf(names[i].split(/[.[]/)[0]) >= 0 ||
    (signed || imgix && !/_|clid|^ix/.test(names[i])) && !isOfS3(names[i].toLowerCase()));
  // These are not in the cache's key under their own names, and only deliver verifies them.
  const verified = kept.filter(pair => /^(expires|s)=/.test(pair)).join('&');
  if (verified) request.headers['x-expires'] = {value: verified};
  request.querystring = kept.join('&');
  return request;
}

function isOfS3(name) {
  return S3_PARAMETERS.indexOf(name) >= 0 || /^(x-|response-)/.test(name);
}

function forward(request, path, pairs) {
  request.uri = encodeURI(path).replace(/[?#+]/g, char => encodeURIComponent(char));
  request.querystring = (pairs || []).join('&');
  return request;
}

// ---------------------------------------------------------------- public names and signatures

async function lookup(key) {
  try {
    return await kvs.get(key);
  } catch (error) {
    return '';
  }
}

async function isPublic(key) {
  return await lookup(key) || !await lookup('names');
}

async function signatureError(signature, text) {
  if (!signature.s) return 'missing';
  const secret = await lookup('k/' + (signature.kid || ''));
  if (!secret) return 'key-unknown';
  const right = crypto.createHmac('sha256', secret).update(text).digest('base64url');
  let wrong = right.length ^ signature.s.length;
  for (let i = 0; i < right.length; i++) wrong |= right.charCodeAt(i) ^ signature.s.charCodeAt(i);
  if (wrong) return 'mismatch';
  const expires = signature.expires;
  if (expires != null && !(/^\d{1,11}(?![\s\S])/.test(expires) && +expires > Date.now() / 1000)) return 'expired';
}

function invalid(detail) {
  return errorResponse(400, 'Bad Request', 'invalid-request', detail);
}

function forbidden(kind) {
  return errorResponse(403, 'Forbidden', 'signature-' + kind, 'expected a valid signature: ' + kind, FIXES[kind]);
}

function errorResponse(status, title, code, detail, fix) {
  const document = {type: 'about:blank', title: title, status: status, detail: detail, code: code, fix: fix};
  return response(status, {'content-type': 'application/problem+json', 'cache-control': 'no-store'}, JSON.stringify(document));
}

function response(status, texts, body) {
  const headers = {'strict-transport-security': {value: 'max-age=31536000'}, 'x-content-type-options': {value: 'nosniff'}};
  Object.keys(texts).forEach(name => {
    headers[name] = {value: texts[name]};
  });
  return {statusCode: status, headers: headers, body: body};
}

// ---------------------------------------------------------------- content negotiation and client hints

// The formats to send, as delivery/http/negotiation.py decides; AVIF without WebP is never the result.
function acceptedFormats(header) {
  const weights = {};
  const all = header ? (header.multiValue || [header]).map(one => one.value).join(',') : '';
  all.toLowerCase().split(',').forEach(part => {
    const pieces = part.split(';').map(piece => piece.trim());
    const q = pieces.slice(1).find(piece => /^q=/.test(piece));
    const text = q ? q.slice(2).trim() : '1';
    const weight = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(?![\s\S])/.test(text) ? +text : 0;
    weights[pieces[0]] = weight >= 0 && weight <= 1 ? weight : 0;
  });
  const jpegRange = ['image/jpeg', 'image/*', '*/*'].find(range => has(weights, range));
  const minWeight = jpegRange ? weights[jpegRange] : 0;
  const avif = weights['image/avif'] || 0;
  const webp = weights['image/webp'] || 0;
  if (!webp || webp < minWeight) return '';
  return avif && avif >= minWeight && avif >= webp ? 'image/avif,image/webp' : 'image/webp';
}

function hint(headers, name) {
  const header = headers['sec-ch-' + name] || headers[name];
  const text = header ? header.value.trim() : '';
  return /^\d{1,5}(\.\d{1,3})?(?![\s\S])/.test(text) ? +text : 0;
}

// ---------------------------------------------------------------- URL parser

// Parse a decoded path and a query: {key, values, pairs, text, stringToSign, signature, named}, or {error}.
function parseUrl(path, query, size) {
  if (size > 8192) return {error: 'expected at most 8192 bytes for the URL'};
  const signature = {};
  let pairs = [];
  let signatureCount = 0;
  try {
    query.split('&').forEach(part => {
      if (!part) return;
      const at = (part + '=').indexOf('=');
      const name = decode(part.slice(0, at));
      const value = decode(part.slice(at + 1));
      if (/^(expires|kid|s)(?![\s\S])/.test(name)) {
        signatureCount++;
        signature[name] = value;
      } else if (IGNORED.indexOf(name) < 0 && name.indexOf(IGNORED_PREFIX)) pairs.push([name, value]);
    });
  } catch (error) {
    return {error: NOT_UTF_8};
  }
  if (signatureCount > Object.keys(signature).length) return {error: 'expected s, kid and expires at most once each'};
  const slash = path.lastIndexOf('/');
  const match = slash > 0 && !pairs.length && RENDITION_NAME.exec(withoutExtension(path.slice(slash + 1)));
  const named = !!match && !!(match[1] || match[2]);
  if (named) {
    path = path.slice(0, slash);
    pairs = match[2] ? match[2].split(',').map(pair => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]) : [];
  }
  return canonicalUrl(path, pairs, signatureCount ? signature : null, named);
}

function canonicalUrl(key, rawPairs, signature, named) {
  const valuesOf = {};
  const unknown = [];
  expandAliases(rawPairs).forEach(pair => {
    const name = pair[0];
    const value = pair[1];
    const values = has(valuesOf, name) ? valuesOf[name] : [];
    if (PARAMETER_ORDER.indexOf(name) < 0 || /[^\w.:;~-]/.test(value)) unknown.push(name);
    else if (REPEATABLE.indexOf(name) >= 0 || values.indexOf(value) < 0) valuesOf[name] = values.concat(value);
  });
  const pairs = [];
  PARAMETER_ORDER.forEach(name => {
    const values = valuesOf[name] || [];
    if (values.length > 1 && REPEATABLE.indexOf(name) < 0) unknown.push(name);
    values.forEach(value => pairs.push(name + '=' + value));
  });
  if (unknown.length) return {error: 'expected known names, each with one plain value, got another: ' + unknown.join(', ')};
  const signatureValues = {};
  if (signature && signature.expires != null) signatureValues.expires = [signature.expires];
  if (signature && signature.kid != null) signatureValues.kid = [signature.kid];
  const signedPairs = PARAMETER_ORDER.concat('expires', 'kid').sort().map(name =>
    (valuesOf[name] || signatureValues[name] || []).map(value => name + '=' + value).join('&')).filter(one => one).join('&');
  return {
    key: key, values: valuesOf, pairs: pairs, text: pairs.join(','), stringToSign: key + '?' + signedPairs, signature: signature,
    named: named
  };
}

// Each pair under its canonical name; imgix' auto is split, its fp-x and fp-y are joined.
function expandAliases(rawPairs) {
  const pairs = [];
  const point = {};
  rawPairs.forEach(pair => {
    const rawName = lower(pair[0]);
    const name = has(ALIASES, rawName) ? ALIASES[rawName] : rawName;
    const value = canonicalValue(name, pair[1]);
    if (name == 'auto') {
      value.split(':').forEach(word => pairs.push(has(AUTO_WORDS, word) ? AUTO_WORDS[word] : [name, word]));
    } else if (name == FOCAL_POINT[1] || name == FOCAL_POINT[2]) point[name] = value;
    else pairs.push([name, value]);
  });
  const parts = FOCAL_POINT.slice(1).filter(name => has(point, name));
  if (parts.length > 1) return pairs.concat([[FOCAL_POINT[0], parts.map(name => point[name]).join(':')]]);
  return pairs.concat(parts.map(name => [name, point[name]]));
}

function canonicalValue(name, value) {
  value = value.replace(/^#/, '').replace(/,/g, ':');
  if (CASE_SENSITIVE.indexOf(name) >= 0) return value.replace(/~[0-9a-f]{2}/gi, lower);
  value = lower(value);
  if (value == 'true') value = '1';
  if (value == 'false') value = '0';
  return has(VALUE_ALIASES, name) && has(VALUE_ALIASES[name], value) ? VALUE_ALIASES[name][value] : value;
}

function withoutExtension(name) {
  const dot = name.lastIndexOf('.');
  const stem = name.slice(0, Math.max(dot, 0));
  const at = stem.lastIndexOf('fm=');
  const format = at < 0 ? stem : stem.slice(at + 3);
  return has(EXTENSIONS, format) && EXTENSIONS[format] == name.slice(dot + 1) ? stem : name;
}

// Lower-case ASCII, and the Kelvin sign, whose lower case is ASCII too.
function lower(text) {
  return text.replace(/[A-Z\u212a]/g, char => char.toLowerCase());
}

// Percent-decode as Python does: an incomplete escape stays.
function decode(text) {
  return decodeURIComponent(text.replace(/\+/g, ' ').replace(/%(?![0-9a-f]{2})/gi, '%25'));
}

function has(table, name) {
  return Object.prototype.hasOwnProperty.call(table, name);
}
