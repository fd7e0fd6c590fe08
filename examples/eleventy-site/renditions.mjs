// HTML for the files that `image-processor process` has written. Needs no packages.
import {readdirSync} from 'node:fs';

// As --name '{stem}-{width}x{height}-{options}.{ext}' in package.json has it. The options tell two renditions of one
// size apart: a photo that is 640 pixels wide has no larger one.
const NAME = /^(.+)-(\d+)x(\d+)-[^/]+\.(avif|jpg)$/;

// The renditions in `folder` by the photo's name without its extension, widths ascending.
export function renditions(folder) {
  const found = new Map();
  for (const file of readdirSync(folder, {recursive: true}).map((name) => name.replaceAll('\\', '/'))) {
    const match = file.match(NAME);
    if (!match) continue;
    const [, photo, width, height, extension] = match;
    if (!found.has(photo)) found.set(photo, []);
    const list = found.get(photo);
    const isNew = !list.some((one) => one.extension === extension && one.width === Number(width));
    if (isNew) list.push({file, width: Number(width), height: Number(height), extension});
  }
  for (const list of found.values()) list.sort((one, other) => one.width - other.width);
  return found;
}

// A <picture> of one photo. `base` is where the folder is on the site.
export function picture(list, base, {alt, sizes = '100vw', loading = 'lazy'}) {
  const of = (extension) => list.filter((rendition) => rendition.extension === extension);
  const address = ({file}) => base + file.split('/').map(encodeURIComponent).join('/');
  const srcset = (extension) => of(extension).map((one) => `${address(one)} ${one.width}w`).join(', ');
  const {width, height, ...largest} = of('jpg').at(-1);
  const attributes = {
    srcset: srcset('jpg'), sizes, src: address(largest), width, height, alt, loading, decoding: 'async',
  };
  const source = element('source', {type: 'image/avif', srcset: srcset('avif'), sizes});
  return `<picture>${source}${element('img', attributes)}</picture>`;
}

function element(name, attributes) {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(String(value))}"`);
  return `<${name}${written.join('')}>`;
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}
