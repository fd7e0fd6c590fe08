// How much a lossy encoding loses, on the scale of SSIMULACRA2: the estimate that the engine makes for quality
// "auto" (engine/auto_quality.py), here of pixels that the browser has decoded. A test compares the weights.

interface Fit {
  base: number;
  weights: readonly [number, number, number, number];
}

export const FITS: Readonly<Record<string, Fit>> = {
  jpeg: { base: 54.6, weights: [-10.24, 6.41, -5.37, -0.42] },
  webp: { base: 56.18, weights: [-10.38, 6.37, -5.16, -1.5] },
  avif: { base: 62.51, weights: [-9.6, 6.87, -5.59, -0.33] },
};

// Y, Cb and Cr of BT.601, as in JPEG.
const OPPONENTS = [
  [0.299, 0.587, 0.114],
  [-0.169, -0.331, 0.5],
  [0.5, -0.419, -0.081],
] as const;
const MAX_PIXELS = 1_500_000;

interface Plane {
  width: number;
  height: number;
  values: Float32Array;
}

// The score of `encoded` in comparison with `lossless`, which have the same size; null where the engine has no
// estimate: for another format, or a very small image.
export async function score(lossless: Blob, encoded: Blob, format: string): Promise<number | null> {
  const fit = FITS[format];
  if (!fit) return null;
  const [before, after] = await Promise.all([planes(lossless), planes(encoded)]);
  if (!before || !after || before[0]!.width !== after[0]!.width || before[0]!.height !== after[0]!.height) return null;
  const [small, smallAfter] = [before.map(halved), after.map(halved)];
  const chroma = (meanSquare(small[1]!, smallAfter[1]!) + meanSquare(small[2]!, smallAfter[2]!)) / 2;
  const losses = [
    1 - similarity(small[0]!, smallAfter[0]!, 8),
    1 - similarity(before[0]!, after[0]!, 4),
    meanSquare(before[0]!, after[0]!),
    Math.sqrt(2 * chroma),
  ].map((value) => Math.log(Math.max(value, 0) + 1e-6));
  const sum = losses.reduce((total, loss, index) => total + fit.weights[index]! * loss, fit.base);
  return Math.min(100, Math.max(0, sum));
}

async function planes(body: Blob): Promise<Plane[] | null> {
  const bitmap = await createImageBitmap(body);
  const { width, height } = bitmap;
  // Of a large image its middle.
  const share = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
  const [w, h] = [Math.floor(width * share), Math.floor(height * share)];
  if (Math.min(w, h) < 16) return null;
  const context = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, w, h);
  context.drawImage(bitmap, -Math.floor((width - w) / 2), -Math.floor((height - h) / 2));
  bitmap.close();
  const { data } = context.getImageData(0, 0, w, h);
  return OPPONENTS.map(([red, green, blue]) => {
    const values = new Float32Array(w * h);
    for (let at = 0; at < values.length; at++) values[at] = red * data[4 * at]! + green * data[4 * at + 1]! + blue * data[4 * at + 2]!;
    return { width: w, height: h, values };
  });
}

const halved = (plane: Plane): Plane => shrunk(plane, 2);

// The means of blocks of `side` pixels.
function shrunk({ width, height, values }: Plane, side: number): Plane {
  const [w, h] = [Math.floor(width / side), Math.floor(height / side)];
  const means = new Float32Array(w * h);
  for (let y = 0; y < h * side; y++) {
    const row = Math.floor(y / side) * w;
    for (let x = 0; x < w * side; x++) means[row + Math.floor(x / side)]! += values[y * width + x]! / (side * side);
  }
  return { width: w, height: h, values: means };
}

function meanSquare(a: Plane, b: Plane): number {
  let sum = 0;
  for (let at = 0; at < a.values.length; at++) sum += (a.values[at]! - b.values[at]!) ** 2;
  return sum / a.values.length;
}

// The mean of SSIM's contrast and structure (Wang et al., 2004) in blocks of `side` pixels.
function similarity(a: Plane, b: Plane, side: number): number {
  const product = (p: Plane, q: Plane): Plane => ({ ...p, values: p.values.map((value, at) => value * q.values[at]!) });
  const [mean, other, square, otherSquare, both] = [a, b, product(a, a), product(b, b), product(a, b)].map((plane) => shrunk(plane, side).values) as [
    Float32Array, Float32Array, Float32Array, Float32Array, Float32Array,
  ];
  let sum = 0;
  for (let at = 0; at < mean.length; at++) {
    const covariance = both[at]! - mean[at]! * other[at]!;
    const variances = square[at]! + otherSquare[at]! - mean[at]! ** 2 - other[at]! ** 2;
    sum += (2 * covariance + 58.5) / (variances + 58.5);
  }
  return sum / mean.length;
}
