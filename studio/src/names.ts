// Names for added files, so that none replaces another.

// "album/cat.jpg" the first time, "album/cat-2.jpg" the second.
export function numbered(key: string, count: number): string {
  if (count === 1) return key;
  const dot = key.lastIndexOf(".");
  const end = dot > key.lastIndexOf("/") + 1 ? dot : key.length;
  return `${key.slice(0, end)}-${count}${key.slice(end)}`;
}

// Browsers name every image from the clipboard "image.png"; a copied file has its own name.
export function pastedName(name: string, now: Date): string {
  const [, extension] = /^image(\.\w+)$/.exec(name) ?? [];
  return extension ? `pasted-${timeText(now)}${extension}` : name;
}

// The time, and the extension of a photo that was just taken.
export function photoName(name: string, now: Date): string {
  const [extension] = /\.\w+$/.exec(name) ?? [".jpg"];
  return `photo-${timeText(now)}${extension}`;
}

// "2026-01-31-12-00-00", in the time of the user.
function timeText(now: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
  return `${day}-${time}`;
}
