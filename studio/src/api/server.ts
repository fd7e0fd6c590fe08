// What the pages about the recipe and the server ask for.

import { address, Problem, request, sendJson } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Activity = Schemas["ActivityModel"];
export type Series = Schemas["SeriesModel"];
export type Storage = Schemas["StorageModel"];
export type Setting = Schemas["SettingModel"];
export type ServerHealth = Schemas["StandaloneHealthModel"];
export type RecipeSource = Schemas["RecipeSourceModel"];
export type RecipeCheck = Schemas["RecipeCheckModel"];
export type RecipeProblem = Schemas["RecipeProblemModel"];
export type DryRun = Schemas["DryRunModel"];

export const activity = () => request<Activity>("GET", "/activity");
export const settings = async () => (await request<Schemas["SettingsModel"]>("GET", "/settings")).settings;
export const recipeSource = () => request<RecipeSource>("GET", "/recipe/source");

// A degraded server answers 503, with its health.
export async function health(): Promise<ServerHealth> {
  const response = await fetch(address("/health"));
  const body = await response.json();
  if (!("version" in body)) throw new Problem(body);
  return body;
}

async function post<T>(path: string, body: object, signal: AbortSignal | null = null): Promise<T> {
  const response = await sendJson(path, body, signal);
  const answer = await response.json();
  if (!response.ok) throw new Problem(answer);
  return answer;
}

export const checkRecipe = (text: string, signal: AbortSignal) => post<RecipeCheck>("/recipe/check", { text }, signal);
export const planRecipe = (text: string, signal: AbortSignal) => post<DryRun>("/recipe/plan", { text }, signal);
export const saveRecipe = (text: string, version: string) => post<RecipeSource>("/recipe", { text, version });
