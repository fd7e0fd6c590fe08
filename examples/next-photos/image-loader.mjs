// For next/image: `src` is the key of a photo. It also runs in the browser, so its URLs are not signed.
const BASE = process.env.NEXT_PUBLIC_IMAGES_URL;

export default function imageLoader({src, width}) {
  const key = src.split('/').map(encodeURIComponent).join('/');
  return `${BASE}/${key}?w=${width}&fm=auto`;
}
