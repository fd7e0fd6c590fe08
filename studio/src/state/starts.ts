// Transformations to start from: ideas, and the presets of the recipe.

import type { Recipe } from "../api/trial";

export interface Start {
  title: string;
  text: string;
}

export const IDEAS: readonly Start[] = [
  { title: "For a page", text: "w=640,fm=webp" },
  { title: "Square card", text: "w=480,h=480,g=attention,fm=avif" },
  { title: "Banner", text: "w=1200,h=400,g=attention,fm=avif" },
  { title: "Round portrait", text: "w=320,h=320,g=attention,ellipse=1,fm=webp" },
  { title: "Duotone", text: "w=640,duo=1b2a49:f3d9a4,fm=webp" },
  { title: "Black and white", text: "w=640,con=12,grey=1,fm=webp" },
  { title: "Framed", text: "w=560,bg=ffffff,pad=40,fm=webp" },
  { title: "With a text", text: "w=640,over=text:Hello;size:0.12;colour:ffffff;g:southeast;x:24;y:20,fm=webp" },
  { title: "Blurred", text: "w=64,blur=2,fm=webp" },
  { title: "At most 20 kB", text: "w=640,max-bytes=20000,fm=webp" },
];

// The widest transformation of each preset, in its smallest format.
export function ofRecipe({ presets }: Recipe): Start[] {
  const width = (text: string) => Number(/(?:^|,)w=(\d+)/.exec(text)?.[1] ?? 0);
  return Object.entries(presets).flatMap(([title, texts]) => {
    const [widest] = [...texts].sort((a, b) => width(b) - width(a));
    return widest ? [{ title, text: widest }] : [];
  });
}
