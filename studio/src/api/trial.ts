// What the playground asks for.

import { type CardImage, Problem, request, sendJson } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Table = Schemas["ParametersModel"];
export type Urls = Schemas["UrlsModel"];
export type Markup = Schemas["MarkupModel"];
export type Recipe = Schemas["RecipeModel"];

export const table = () => request<Table>("GET", "/parameters");
export const recipe = () => request<Recipe>("GET", "/recipe");

export interface Preview {
  body: Blob;
  // The canonical text of the transformation.
  text: string;
  // How long the server took to make it; null if it was stored already.
  milliseconds: number | null;
}

export async function preview(id: string, transformation: string, signal: AbortSignal): Promise<Preview> {
  const response = await sendJson(`/images/${id}/preview`, { transformation }, signal);
  if (!response.ok) throw new Problem(await response.json());
  const timing = [...(response.headers.get("server-timing") ?? "").matchAll(/dur=([\d.]+)/g)];
  return {
    body: await response.blob(),
    text: response.headers.get("image-processor-transformation") ?? transformation,
    milliseconds: timing.length ? timing.reduce((sum, match) => sum + Number(match[1]), 0) : null,
  };
}

const withBase = (values: Record<string, string>) => new URLSearchParams(values);

// The URLs of a transformation, and the markup that shows it. Nothing is rendered for them.
export const urls = (id: string, transformation: string) => request<Urls>("GET", `/images/${id}/urls?${withBase({ transformation })}`);
export const markup = (id: string, transformation: string, base: string) => request<Markup>("GET", `/images/${id}/markup?${withBase({ transformation, base })}`);

export async function withPrefix(prefix: string): Promise<CardImage[]> {
  const query = new URLSearchParams({ prefix, limit: "24", fields: "renditions,facts,dominant_colour,thumbhash,focus" });
  return (await request<{ images: CardImage[] }>("GET", `/images?${query}`)).images;
}
