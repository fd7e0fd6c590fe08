// The OpenAPI description of the server, as far as the reference shows it.

import { request } from "./client";

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  title?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  examples?: unknown[];
  example?: unknown;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}

export interface Content {
  schema?: Schema;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header" | "cookie";
  required?: boolean;
  description?: string;
  schema?: Schema;
  example?: unknown;
}

export interface Response {
  description?: string;
  content?: Record<string, Content>;
}

export interface Operation {
  operationId: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; description?: string; content: Record<string, Content> };
  responses: Record<string, Response>;
  security?: Record<string, string[]>[];
}

export interface Description {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema> };
}

export const description = () => request<Description>("GET", "/openapi.json");

// One operation, with its place.
export interface Entry {
  method: string;
  path: string;
  operation: Operation;
}

const METHODS = ["get", "head", "post", "put", "patch", "delete", "options"];

// The operations by their tag, in the order of the description.
export function byTag({ paths }: Description): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>();
  for (const [path, methods] of Object.entries(paths)) {
    for (const method of METHODS) {
      const operation = methods[method];
      if (!operation) continue;
      const tag = operation.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), { method, path, operation }]);
    }
  }
  return groups;
}

export function resolve(schema: Schema, schemas: Record<string, Schema>): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name ? { ...schemas[name], ...(schema.description && { description: schema.description }) } : schema;
}

// The type in a few words: "integer", "list of ImageModel", "string or null".
export function typeOf(schema: Schema): string {
  if (schema.$ref) return schema.$ref.split("/").at(-1)!;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((item) => JSON.stringify(item)).join(" | ");
  const variants = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (variants) return [...new Set(variants.map(typeOf))].join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items) : "anything"}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `map of ${typeOf(schema.additionalProperties)}`;
  return schema.format ? `${schema.type} (${schema.format})` : (schema.type ?? "anything");
}

const MAX_DEPTH = 5;

// An example of a value: what the description gives, else one made of the types.
export function example(schema: Schema, schemas: Record<string, Schema>, depth = 0): unknown {
  const known = resolve(schema, schemas);
  if (known.example !== undefined) return known.example;
  if (known.examples?.length) return known.examples[0];
  if (known.default !== undefined && known.default !== null) return known.default;
  if (known.const !== undefined) return known.const;
  if (known.enum) return known.enum[0];
  const variant = (known.anyOf ?? known.oneOf ?? known.allOf)?.[0];
  if (variant) return example(variant, schemas, depth);
  if (depth >= MAX_DEPTH) return null;
  if (known.properties) {
    return Object.fromEntries(Object.entries(known.properties).map(([name, property]) => [name, example(property, schemas, depth + 1)]));
  }
  switch (known.type) {
    case "array":
      return known.items ? [example(known.items, schemas, depth + 1)] : [];
    case "integer":
    case "number":
      return known.minimum ?? 0;
    case "boolean":
      return true;
    case "string":
      return known.format === "date-time" ? "2026-01-31T12:00:00Z" : "text";
    case "object":
      return {};
    default:
      return null;
  }
}
