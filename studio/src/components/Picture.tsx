// An image with its placeholder: the ThumbHash, else the dominant colour, shows until the rendition is
// loaded, and stays if loading fails. What is transparent is on a checkerboard.

import { useEffect, useRef, useState } from "preact/hooks";
import { thumbHashToRGBA } from "thumbhash";

import type { CardImage } from "../api/client";
import { candidates, isTransparent, source, sources } from "../pictures";

interface Props {
  image: CardImage;
  alt: string;
  // In pixels of the screen.
  width: number;
  whole?: boolean;
}

export function Picture({ image, alt, width, whole = false }: Props) {
  const [state, setState] = useState<"loading" | "loaded" | "failed">("loading");
  const found = sources(candidates(image, width, whole));
  const { facts } = image;
  const focus = image.focal_point ?? image.focus;
  const style: Record<string, string> = {};
  if (image.dominant_colour && state !== "loaded") style.backgroundColor = image.dominant_colour;
  if (whole && facts) style.aspectRatio = `${facts.width} / ${facts.height}`;
  const position = focus ? { objectPosition: `${focus[0] * 100}% ${focus[1] * 100}%` } : {};
  const classes = ["picture", state, isTransparent(image) ? "transparent" : ""].join(" ");
  return (
    <div class={classes} style={style}>
      {image.thumbhash && state !== "loaded" && <Placeholder hash={image.thumbhash} />}
      {found && state !== "failed" && (
        // A new version has other addresses: the key makes it load as a new picture.
        <picture key={found.plain.url}>
          {found.others.map((rendition) => (
            <source key={rendition.url} srcset={source(rendition)} type={rendition.media_type} />
          ))}
          <img
            alt={alt}
            decoding="async"
            src={source(found.plain)}
            width={found.plain.width}
            height={found.plain.height}
            style={position}
            onLoad={() => setState("loaded")}
            onError={() => setState("failed")}
          />
        </picture>
      )}
    </div>
  );
}

function Placeholder({ hash }: { hash: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context) draw(context, hash);
  }, [hash]);
  return <canvas ref={canvas} aria-hidden="true" />;
}

function draw(context: CanvasRenderingContext2D, base64: string): void {
  const hash = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  if (hash.length < 5) return;
  const { w, h, rgba } = thumbHashToRGBA(hash);
  context.canvas.width = w;
  context.canvas.height = h;
  context.putImageData(new ImageData(new Uint8ClampedArray(rgba), w, h), 0, 0);
}
