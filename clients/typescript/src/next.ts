// A loader for `next/image`, in a file of its own: `images.loaderFile` of next.config.js names one that exports it.

import { canonicalPairs, type Transformation } from "./canonical.js";
import { UrlBuilder } from "./urls.js";

/** What `next/image` gives a loader. */
export interface LoaderArguments {
  src: string;
  width: number;
  quality?: number | undefined;
}

export interface LoaderOptions {
  /** The address of the CDN, or `https://.../renditions` of a server on one machine. */
  base: string;
  /** What every rendition has, such as `{preset: "responsive"}`. The format is `fm=auto` unless it names one. */
  transformation?: Transformation | undefined;
  /**
   * The widths that the recipe declares. `next/image` gets the next larger one; without them the width that it asks
   * for, which then has to be declared: by the recipe's preset and `images.deviceSizes` alike.
   */
  widths?: readonly number[] | undefined;
}

/**
 * A loader whose `src` is the key of an image. Its URLs are not signed, because it also runs in the browser: they open
 * what a public preset declares. `quality` is left to the recipe.
 */
export function createLoader({ base, transformation = {}, widths = [] }: LoaderOptions): (image: LoaderArguments) => string {
  const urls = new UrlBuilder({ base });
  const pairs = canonicalPairs(transformation).filter(([name]) => name !== "w");
  const format = pairs.some(([name]) => name === "fm") ? [] : [["fm", "auto"] as const];
  const steps = [...widths].sort((one, other) => one - other);
  return ({ src, width }) => {
    const step = steps.find((one) => one >= width) ?? steps.at(-1) ?? width;
    const all = [...pairs, ["w", String(step)] as const, ...format];
    return urls.publicUrl(src.replace(/^\//, ""), all.map((pair) => pair.join("=")).join(","));
  };
}
