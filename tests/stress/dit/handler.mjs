// What AWS' Dynamic Image Transformation (8.0.1; the Lambda handler of version 7 and the container of version 8)
// does with a URL, told again as calls of sharp.
//
// node handler.mjs ORIGINALS RESULTS < requests
//
// A request is a line of JSON: {"id", "path", "query"}. The answer is a line {"id", "width", "height", "format"},
// with the picture in RESULTS/ID, or {"id", "error"}.

import { readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import sharp from 'sharp';

const [ORIGINALS, RESULTS] = process.argv.slice(2);
const BUCKETS = ['images'];
const ENCODERS = ['jpeg', 'png', 'webp', 'tiff', 'heif', 'gif', 'avif'];
const METHODS = new Set(
  (
    'removeAlpha ensureAlpha extractChannel joinChannel bandbool tint greyscale grayscale pipelineColourspace ' +
    'pipelineColorspace toColourspace toColorspace flip flop affine sharpen median blur flatten unflatten gamma ' +
    'negate normalise normalize clahe convolve threshold boolean linear recomb modulate resize extend extract ' +
    `trim toFormat ${ENCODERS.join(' ')}`
  ).split(' ')
);
const TYPES = { jpg: 'jpeg', jpeg: 'jpeg', png: 'png', webp: 'webp', tif: 'tiff', tiff: 'tiff', gif: 'gif', avif: 'avif', svg: 'svg' };
const COLOURS = { red: [255, 0, 0], white: [255, 255, 255], black: [0, 0, 0], blue: [0, 0, 255], green: [0, 128, 0], gold: [255, 215, 0] };

function original(key) {
  if (key.startsWith('s3:')) throw new Error('NoSuchKey');
  return readFile(`${ORIGINALS}/${key.split('/').pop()}`);
}

function typeOf(key) {
  return TYPES[key.split('.').pop().toLowerCase()];
}

// Version 7 -------------------------------------------------------------------------------------------------

function decoded(path) {
  if (!/^[0-9a-zA-Z+/]*={0,2}$/.test(path) || path.length % 4) return null;
  try {
    return JSON.parse(Buffer.from(path, 'base64').toString());
  } catch {
    return null;
  }
}

function readUrl(path, query) {
  const json = decoded(path);
  if (json === null && /\.[^./\\]+$/.test(path) && !typeOf(path)) throw new Error('RequestTypeError');
  const request = json ?? fromThumbor(path);
  if (json && json.bucket !== undefined && !BUCKETS.includes(json.bucket)) throw new Error('CannotAccessBucket');
  const changed = fromQuery(query);
  const edits = Object.keys(changed).length ? { ...request.edits, ...changed } : request.edits;
  return { ...request, edits, thumbor: json === null };
}

function fromThumbor(path) {
  const whole = `/${path}`;
  let key = whole.replace(/\/\d+x\d+:\d+x\d+(?=\/)/g, '').replace(/\/\d+x\d+(?=\/)/g, '');
  key = key.replace(/filters:watermark\(.*\)/, '').replace(/filters:[^/]+/g, '').replace(/\/fit-in(?=\/)/g, '');
  for (const bucket of BUCKETS) key = key.replace(`s3:${bucket}/`, '');
  const edits = {};
  const crop = whole.match(/(\d{1,6})x(\d{1,6}):(\d{1,6})x(\d{1,6})/);
  if (crop) {
    const [left, top, right, bottom] = crop.slice(1).map(Number);
    edits.crop = { left, top, width: right - left, height: bottom - top };
  }
  const size = whole.match(/\/(\d+)x(\d+)\//);
  if (size) {
    const [width, height] = size.slice(1).map(Number);
    edits.resize = { ...(width && height ? {} : { fit: 'inside' }), width: width || null, height: height || null };
  }
  if (whole.includes('fit-in')) edits.resize = { ...edits.resize, fit: 'inside' };
  const calls = (whole.match(/filters(:[^)]*\))+/g) ?? []).flatMap(chain => chain.split(':').slice(1)).sort();
  for (const call of calls) filter(call, whole.slice(whole.lastIndexOf('.') + 1), edits);
  return { key: decodeURIComponent(key.replace(/^\/+/, '')), edits };
}

function filter(call, extension, edits) {
  const [, name, text] = call.match(/(.+)\((.*)\)/);
  const parts = text.split(',');
  const resize = more => (edits.resize = { ...edits.resize, ...more });
  const numbers = parts.map(part => (part === '' ? NaN : Number(part)));
  const filters = {
    autojpg: () => (edits.toFormat = 'jpeg'),
    background_color: () => (edits.flatten = { background: colour(text) }),
    blur: () => (edits.blur = Number.isNaN(numbers[1] ?? NaN) ? numbers[0] / 2 : numbers[1]),
    convolution: () => {
      const kernel = parts[0].split(';').map(Number);
      edits.convolve = { width: Number(parts[1]), height: Math.ceil(kernel.length / Number(parts[1])), kernel };
    },
    equalize: () => (edits.normalize = true),
    fill: () => resize({ fit: 'contain', background: colour(text) }),
    format: () => {
      const format = text.replace(/[^0-9a-z]/gi, '').replace(/jpg/i, 'jpeg');
      if ([...ENCODERS, 'heic', 'raw'].includes(format)) edits.toFormat = format;
    },
    grayscale: () => (edits.grayscale = true),
    no_upscale: () => resize({ withoutEnlargement: true }),
    proportion: () => {
      const { width, height } = edits.resize ?? {};
      resize(width && height ? { width: width * Number(text), height: height * Number(text) } : { ratio: Number(text) });
    },
    quality: () => {
      const encoder = [TYPES[extension], edits.toFormat].find(format => ENCODERS.includes(format));
      if (encoder) edits[encoder] = { quality: Number(text) };
    },
    rgb: () => {
      const [r, g, b] = parts.map(part => (255 * Number(part)) / 100);
      edits.tint = { r, g, b };
    },
    rotate: () => (edits.rotate = text === '' ? undefined : Number(text)),
    sharpen: () => (edits.sharpen = 1 + Number(parts[1]) / 2),
    stretch: () => resize(edits.resize?.fit === 'inside' ? {} : { fit: 'fill' }),
    strip_exif: () => (edits.rotate = null),
    strip_icc: () => (edits.rotate = null),
    upscale: () => resize({ fit: 'inside' }),
    watermark: () => {
      const [bucket, key, x, y, alpha, wRatio, hRatio] = parts.map(part => part.trim());
      const options = {};
      const isPlace = place => /^(100|[1-9]?\d|-(100|[1-9]\d?))p$/.test(place) || !Number.isNaN(Number(place));
      if (isPlace(x)) options.left = x;
      if (isPlace(y)) options.top = y;
      edits.overlayWith = { bucket, key, alpha, wRatio, hRatio, options };
    },
    animated: () => (edits.animated = text.toLowerCase() !== 'false'),
    smart_crop: () => (edits.smartCrop = { faceIndex: parseInt(parts[0]), padding: parseInt(parts[1]) })
  };
  filters[name]?.();
}

function colour(text) {
  const named = COLOURS[text];
  if (named) return { r: named[0], g: named[1], b: named[2] };
  if (!/^([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i.test(text)) throw new Error(`colour ${text}`);
  return `#${text}`;
}

function fromQuery(query) {
  const edits = {};
  const whole = text => (text === '' ? null : parseInt(text));
  const isOn = text => !['0', 'false', ''].includes(text.toLowerCase());
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'format') edits.toFormat = value;
    else if (name === 'fit') edits.resize = { ...edits.resize, fit: value };
    else if (name === 'width' || name === 'height') edits.resize = { ...edits.resize, [name]: value === '0' ? null : whole(value) };
    else if (name === 'rotate') edits.rotate = whole(value);
    else if (name === 'flip' || name === 'flop') edits[name] = isOn(value);
    else if (name === 'grayscale' || name === 'greyscale') edits.greyscale = isOn(value);
  }
  return edits;
}

async function version7(path, query) {
  const request = readUrl(path, query);
  const data = await original(request.key);
  const type = typeOf(request.key);
  const edits = request.edits ?? {};
  const isEdited = Object.keys(edits).length > 0;
  let output = edits.toFormat ?? request.outputFormat ?? (type === 'svg' && isEdited ? 'png' : undefined);
  if (output && request.thumbor && ENCODERS.includes(output)) {
    const encoder = Object.keys(edits).find(name => ENCODERS.includes(name));
    if (encoder && encoder !== output) {
      edits[output] = edits[encoder];
      delete edits[encoder];
    }
  }
  if (!isEdited && !output) return data;
  const open = animated => {
    const image = sharp(data, { failOn: 'none', animated });
    return edits.rotate === null ? image : image.withMetadata();
  };
  let animated = edits.animated ?? type === 'gif';
  if (animated && !((await open(true).metadata()).pages > 1)) animated = false;
  const image = isEdited ? await edit(open(animated), edits, animated) : open(animated);
  if (output === 'webp' && request.effort !== undefined) {
    const effort = Math.trunc(request.effort);
    image.webp({ effort: effort >= 0 && effort <= 6 ? effort : 4 });
  } else if (output) {
    if (![...ENCODERS, 'jpg', 'raw'].includes(output)) throw new Error('UnsupportedOutputImageFormatException');
    image.toFormat(output);
  }
  const body = await image.toBuffer();
  return output === 'raw' ? null : body; // pixels without a size: nothing to compare
}

async function edit(opened, edits, animated) {
  let image = opened;
  await prepareSize(image, edits);
  for (const [name, value] of Object.entries(edits)) {
    if (animated && ['rotate', 'smartCrop', 'roundCrop', 'contentModeration'].includes(name)) continue;
    if (name === 'overlayWith') await overlay(image, edits);
    else if (name === 'smartCrop' || name === 'contentModeration') throw new Error('Rekognition');
    else if (name === 'roundCrop') image = value === true || typeof value === 'object' ? await roundCrop(image, value) : image;
    else if (name === 'crop') image.extract(value);
    else if (name === 'rotate' && value === undefined) image.autoOrient();
    else if (name === 'rotate' && value !== null) image.rotate(value);
    else if (METHODS.has(name)) image[name](value);
  }
  return image;
}

async function prepareSize(image, edits) {
  if (edits.resize === undefined) {
    edits.resize = { fit: 'inside' };
    return;
  }
  const { resize } = edits;
  for (const side of ['width', 'height']) {
    if (resize[side]) resize[side] = Math.round(Number(resize[side]));
    if (resize[side] != null && resize[side] <= 0) throw new Error('InvalidResizeException');
  }
  if (!resize.ratio) return;
  const { ratio } = resize;
  const from = resize.width && resize.height ? resize : await image.metadata();
  const sides = [from.width, from.height].map(side => Math.round(side * ratio));
  [resize.width, resize.height] = sides;
  delete resize.ratio;
  resize.fit ||= 'inside';
}

async function overlay(image, edits) {
  const { bucket, key, wRatio, hRatio, alpha, options } = edits.overlayWith;
  if (!BUCKETS.includes(bucket)) throw new Error('CannotAccessBucket');
  // metadata() tells the size of the input: sharp(buffer).resize(...) does not change it.
  const base = await sharp(await image.toBuffer()).metadata();
  const isPercent = text => /^(100|[1-9]?\d)$/.test(text);
  const sides = { fit: 'inside' };
  if (isPercent(wRatio)) sides.width = Math.floor((base.width * parseInt(wRatio)) / 100);
  if (isPercent(hRatio)) sides.height = Math.floor((base.height * parseInt(hRatio)) / 100);
  const opacity = 255 * (1 - (isPercent(alpha) ? parseInt(alpha) : 0) / 100);
  const mask = { input: Buffer.from([255, 255, 255, opacity]), raw: { width: 1, height: 1, channels: 4 }, tile: true, blend: 'dest-in' };
  const input = await sharp(await original(key)).resize(sides).composite([mask]).toBuffer();
  const own = await sharp(input).metadata();
  const layer = { ...options, input };
  for (const [name, side] of [['left', 'width'], ['top', 'height']]) {
    const at = offset(options?.[name], base[side], own[side]);
    if (options && !Number.isNaN(at)) layer[name] = at;
  }
  image.composite([layer]);
}

function offset(text, side, own) {
  if (text === undefined) return NaN;
  const number = parseInt(text);
  if (`${text}`.endsWith('p')) return Math.floor(number < 0 ? side + (side * number) / 100 - own : (side * number) / 100);
  return number < 0 ? side + number - own : number;
}

async function roundCrop(image, value) {
  const { info } = await image.toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const or = (number, fallback) => (number && number >= 0 ? number : fallback);
  const radius = Math.min(width, height) / 2;
  const [rx, ry, cx, cy] = [or(value.rx, radius), or(value.ry, radius), or(value.left, width / 2), or(value.top, height / 2)];
  const ellipse = `<svg viewBox="0 0 ${width} ${height}"><ellipse cx="${cx}" cy="${cy}" rx="${rx}" ry="${ry}"/></svg>`;
  const data = await image.composite([{ input: Buffer.from(ellipse), blend: 'dest-in' }]).toBuffer();
  return sharp(data).withMetadata().trim();
}

// Version 8 -------------------------------------------------------------------------------------------------

const V8 = 'animated flatten quality format blur convolve extract normalize flip flop grayscale resize tint rotate sharpen smartCrop stripExif stripIcc watermark';
const isWhole = (value, low, high) => Number.isInteger(value) && value >= low && value <= high;
const isBoolean = value => typeof value === 'boolean';
const isColour = value =>
  (Array.isArray(value) && [3, 4].includes(value.length) && value.slice(0, 3).every(part => isWhole(part, 0, 255))) ||
  (typeof value === 'string' && (/^[a-zA-Z]{3,20}$/.test(value) || /^#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$/.test(value)));
const onlyHas = (value, names) => typeof value === 'object' && !Array.isArray(value) && Object.keys(value).every(name => names.includes(name));
const VALID = {
  animated: isBoolean,
  flatten: isColour,
  quality: value => isWhole(value, 1, 100),
  format: value => ['jpeg', 'png', 'tiff', 'webp', 'gif', 'avif'].includes(value),
  blur: value => value >= 0.3 && value <= 1000,
  convolve: value => onlyHas(value, ['width', 'height', 'kernel']) && value.kernel?.length === 9 && value.width > 0 && value.height > 0,
  extract: value => Array.isArray(value) && value.length === 4 && value.every(part => isWhole(part, 0, Infinity)),
  normalize: isBoolean,
  flip: isBoolean,
  flop: isBoolean,
  grayscale: isBoolean,
  resize: value =>
    onlyHas(value, ['width', 'height', 'fit', 'background', 'withoutEnlargement', 'ratio']) &&
    ['width', 'height'].every(side => value[side] === undefined || isWhole(value[side], 1, 4000)) &&
    (value.fit === undefined || ['cover', 'contain', 'fill', 'inside', 'outside'].includes(value.fit)) &&
    (value.background === undefined || isColour(value.background)) &&
    (value.withoutEnlargement === undefined || isBoolean(value.withoutEnlargement)) &&
    (value.ratio === undefined || (value.ratio >= 0 && value.ratio <= 1)) &&
    Boolean(value.width || value.height || value.ratio),
  tint: isColour,
  rotate: value => typeof value === 'number',
  sharpen: value => isBoolean(value) || (onlyHas(value, ['sigma', 'm1', 'm2', 'x1', 'y2', 'y3']) && value.sigma > 0 && value.sigma <= 10),
  smartCrop: value => isBoolean(value) || onlyHas(value, ['index', 'padding']),
  stripExif: isBoolean,
  stripIcc: isBoolean,
  watermark: value => Array.isArray(value) && Array.isArray(value[1]) && (value[1][3] ?? value[1][4] ?? null) !== null
};

function typed(text) {
  if (text === '') return null;
  if (text.includes('[') || text.includes(',')) return list(text);
  if (text === 'true' || text === 'false') return text === 'true';
  return Number.isFinite(parseFloat(text)) && Number.isFinite(Number(text)) ? Number(text) : text;
}

function list(text) {
  const inner = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const parts = inner.match(/\[[^\]]*\]|[^,]+/g) ?? [];
  return parts.map(part => (part.trim().startsWith('[') ? list(part.trim()) : typed(part.trim())));
}

function transformations(query) {
  const groups = {};
  for (const [name, text] of new URLSearchParams(query)) {
    const value = typed(text);
    if (value === null) continue;
    const [base, option] = name.replace(/\[(\w+)\]/, '.$1').split('.', 2);
    if (option) groups[base] = { ...(typeof groups[base] === 'object' ? groups[base] : {}), [option]: value };
    else if (typeof groups[base] !== 'object') groups[base] = base === 'format' && value === 'jpg' ? 'jpeg' : value;
  }
  return Object.entries(groups).filter(([name, value]) => V8.split(' ').includes(name) && VALID[name](value));
}

async function version8(path, query) {
  const data = await original(decodeURIComponent(path));
  const wanted = transformations(query).slice(0, 10);
  if (!wanted.length) return data;
  const edits = {};
  for (const [name, value] of wanted) {
    if (name === 'extract') {
      const [left, top, right, bottom] = value;
      edits.extract = { left, top, width: right - left, height: bottom - top };
    } else if (name === 'flatten') edits.flatten = { background: Array.isArray(value) ? { r: value[0], g: value[1], b: value[2] } : colour(value.replace('#', '')) };
    else if (name === 'format') edits.toFormat = value;
    else if (name === 'rotate') edits.rotate = value % 360;
    else if (name === 'watermark') edits.composite = value;
    else edits[name] = value;
  }
  const pages = (await sharp(data).metadata()).pages;
  const animated = typeOf(path) === 'gif' && pages > 1;
  const image = sharp(data, { failOn: 'warning', animated }).keepIccProfile().keepMetadata();
  if (edits.smartCrop) throw new Error('Rekognition');
  const isDeferred = edits.composite !== undefined || edits.extract !== undefined;
  if (edits.resize?.ratio) {
    const from = edits.resize.width && edits.resize.height ? edits.resize : await image.metadata();
    const { ratio, ...rest } = edits.resize;
    edits.resize = { fit: 'inside', ...rest, width: Math.round(from.width * ratio), height: Math.round(from.height * ratio) };
  }
  if (edits.resize && !isDeferred) image.resize(edits.resize);
  for (const [name, value] of Object.entries(edits)) {
    if (name === 'composite') await watermark(image, value);
    else if (name === 'sharpen') image.sharpen(value === true ? undefined : value);
    else if (name === 'rotate' && animated) continue;
    else if ('flatten blur convolve extract normalize flip flop grayscale tint rotate'.split(' ').includes(name)) image[name](value);
  }
  if (edits.resize && isDeferred) image.resize(edits.resize);
  const format = edits.toFormat ?? (await image.metadata()).format;
  return image.toFormat(format, edits.quality ? { quality: edits.quality } : {}).toBuffer();
}

async function watermark(image, [source, [top, left, alpha, wRatio, hRatio]]) {
  const url = new URL(source.includes('://') ? source : `https://${source}`);
  if (!BUCKETS.includes(url.host)) throw new Error('Access Denied');
  const base = await image.metadata();
  const mask = { input: Buffer.from([255, 255, 255, 255 * (1 - (alpha ?? 0))]), raw: { width: 1, height: 1, channels: 4 }, tile: true, blend: 'dest-in' };
  const sides = [wRatio ? Math.round(base.width * wRatio) : undefined, hRatio ? Math.round(base.height * hRatio) : undefined];
  const { data, info } = await sharp(await original(url.pathname)).resize(...sides, { fit: 'fill' }).composite([mask]).toBuffer({ resolveWithObject: true });
  image.composite([{ input: data, left: offset(left || 0, base.width, info.width), top: offset(top || 0, base.height, info.height) }]);
}

// Requests ---------------------------------------------------------------------------------------------------

const ONLY_V8 = new Set('resize extract flatten quality blur convolve normalize tint sharpen smartCrop stripExif stripIcc watermark animated'.split(' '));

function isVersion8(query) {
  return [...new URLSearchParams(query).keys()].some(name => ONLY_V8.has(name.split(/[.[]/)[0]));
}

async function answer({ id, path, query }) {
  try {
    const body = await (isVersion8(query) ? version8 : version7)(path, query);
    if (Buffer.isBuffer(body) === false) return { id, format: 'raw' };
    const { width, height, pageHeight, format, compression } = await sharp(body).metadata();
    await writeFile(`${RESULTS}/${id}`, body);
    return { id, width, height: pageHeight ?? height, format: format === 'heif' && compression === 'av1' ? 'avif' : format };
  } catch (error) {
    return { id, error: error.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
