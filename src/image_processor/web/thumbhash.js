// Draws a ThumbHash, the placeholder that a record holds in a few bytes.
// The format is that of https://evanw.github.io/thumbhash/: one constant and a few cosine terms
// for each of lightness (L), yellow-blue (P), red-green (Q) and alpha (A).

const LONG_SIDE = 32;

// Draws `base64` into the canvas and sets its size. Returns false if it is not a ThumbHash.
export function draw(canvas, base64) {
  const hash = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  if (hash.length < 5) return false;
  const { width, height, pixels } = decode(hash);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return true;
}

export function decode(hash) {
  const head = readHead(hash);
  const nibbles = nibblesFrom(hash, head.hasAlpha ? 6 : 5);
  const [nx, ny] = head.terms;
  const channels = [
    channel(head.l, nx, ny, head.lScale, nibbles),
    channel(head.p, 3, 3, head.pScale * 1.25, nibbles),
    channel(head.q, 3, 3, head.qScale * 1.25, nibbles),
    head.hasAlpha ? channel(head.a, 5, 5, head.aScale, nibbles) : { constant: 1, terms: [] },
  ];
  const ratio = nx / ny;
  const width = Math.round(ratio > 1 ? LONG_SIDE : LONG_SIDE * ratio);
  const height = Math.round(ratio > 1 ? LONG_SIDE / ratio : LONG_SIDE);
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const [l, p, q, a] = channels.map((each) => sample(each, (x + 0.5) / width, (y + 0.5) / height));
      const blue = l - (2 / 3) * p;
      const red = (3 * l - blue + q) / 2;
      pixels.set([red * 255, (red - q) * 255, blue * 255, a * 255], at);
    }
  }
  return { width, height, pixels };
}

function readHead(hash) {
  const first = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const second = hash[3] | (hash[4] << 8);
  const hasAlpha = Boolean(first >> 23);
  const isLandscape = Boolean(second >> 15);
  const long = hasAlpha ? 5 : 7;
  const short = Math.max(3, second & 7);
  return {
    l: (first & 63) / 63,
    p: ((first >> 6) & 63) / 31.5 - 1,
    q: ((first >> 12) & 63) / 31.5 - 1,
    lScale: ((first >> 18) & 31) / 31,
    pScale: ((second >> 3) & 63) / 63,
    qScale: ((second >> 9) & 63) / 63,
    a: hasAlpha ? (hash[5] & 15) / 15 : 1,
    aScale: hasAlpha ? (hash[5] >> 4) / 15 : 0,
    hasAlpha,
    terms: isLandscape ? [long, short] : [short, long],
  };
}

function* nibblesFrom(hash, start) {
  for (const byte of hash.subarray(start)) {
    yield byte & 15;
    yield byte >> 4;
  }
}

// The terms lie in the triangle where cx/nx + cy/ny < 1; the constant is not among them.
function channel(constant, nx, ny, scale, nibbles) {
  const terms = [];
  for (let cy = 0; cy < ny; cy++) {
    for (let cx = cy ? 0 : 1; cx * ny < nx * (ny - cy); cx++) {
      const value = ((nibbles.next().value ?? 7.5) / 7.5 - 1) * scale;
      terms.push({ cx, cy, value });
    }
  }
  return { constant, terms };
}

// The value at a point of the unit square. The format counts every cosine term twice.
function sample({ constant, terms }, x, y) {
  let value = constant;
  for (const term of terms) {
    value += 2 * term.value * Math.cos(Math.PI * x * term.cx) * Math.cos(Math.PI * y * term.cy);
  }
  return value;
}
