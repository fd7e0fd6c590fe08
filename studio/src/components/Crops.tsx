// How crops of common shapes look around the focus.

import type { Image } from "../api/client";
import { candidates, source, sources } from "../pictures";

const SHAPES = [
  ["Square", 1],
  ["Wide", 16 / 9],
  ["Tall", 3 / 4],
] as const;
const HEIGHT = 96;

export function Crops({ image }: { image: Image }) {
  const found = sources(candidates(image, 640, true));
  const point = image.focal_point ?? image.focus;
  const { facts } = image;
  if (!found || !point || !facts) return null;
  const ratio = facts.width / facts.height;
  const usesFocus = [...image.renditions, ...image.lazy_renditions].some(({ transformation }) => /(^|,)g=focus(,|$)/.test(transformation));
  return (
    <div class="crops">
      {SHAPES.map(([name, shape]) => (
        <figure key={name}>
          <img
            alt=""
            src={source(found.plain)}
            style={{
              width: `${HEIGHT * shape}px`,
              height: `${HEIGHT}px`,
              objectPosition: `${position(point[0], Math.min(1, shape / ratio))} ${position(point[1], Math.min(1, ratio / shape))}`,
            }}
          />
          <figcaption>{name}</figcaption>
        </figure>
      ))}
      <p class="hint">
        Click the picture where crops with <code>g=focus</code> should be centred, or move the point with the arrows.{" "}
        {!usesFocus && "No preset of the recipe has gravity = \"focus\" yet."}
      </p>
    </div>
  );
}

// The position of an image of which a ``visible`` fraction is kept along one side, around the point ``at``.
function position(at: number, visible: number): string {
  if (visible >= 1) return "50%";
  return `${Math.min(1, Math.max(0, (at - visible / 2) / (1 - visible))) * 100}%`;
}
