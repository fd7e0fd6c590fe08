// The reference of the API: every operation with its parameters, bodies, responses and a command that calls it.

import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

import * as api from "../api/description";
import { address } from "../api/client";
import { PAGES, type PageName, pageAddress } from "../state/pages";
import "../styles/docs.css";
import { Copy } from "./Copy";
import { Toasts } from "./Toasts";

const Schemas = createContext<Record<string, api.Schema>>({});

export function Reference() {
  const [description, setDescription] = useState<api.Description | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [typed, setTyped] = useState("");
  useEffect(() => void api.description().then(setDescription, (error) => setProblem(error.message)), []);
  useEffect(() => {
    if (description) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  }, [description]);
  const groups = found(description ? api.byTag(description) : new Map(), typed);
  return (
    <>
      <header class="top">
        <a class="brand" href={address("/")}>
          <img src={address("/static/icon.svg")} alt="" width="28" height="28" />
          <span class="name">Image processor</span>
        </a>
        <nav class="pages" aria-label="Pages">
          {(Object.keys(PAGES) as PageName[]).map((name) => (
            <a key={name} href={address("/") + pageAddress(name)}>
              {PAGES[name]}
            </a>
          ))}
          <a href={address("/docs")} aria-current="page">
            API
          </a>
        </nav>
      </header>
      <main class="docs">
        {problem && (
          <p class="nothing" role="alert">
            {problem} <a href={address("/")}>Sign in to the studio</a>
          </p>
        )}
        {description && (
          <Schemas.Provider value={description.components?.schemas ?? {}}>
            <Index groups={groups} typed={typed} onType={setTyped} />
            <div class="operations">
              <Intro description={description} />
              {!groups.size && (
                <p class="nothing" role="status">
                  No operation matches “{typed}”.{" "}
                  <button class="link" type="button" onClick={() => setTyped("")}>
                    Show all
                  </button>
                </p>
              )}
              {[...groups].map(([tag, entries]) => (
                <section key={tag} aria-labelledby={`tag-${tag}`}>
                  <h2 id={`tag-${tag}`}>{tag}</h2>
                  {entries.map((entry) => (
                    <Operation key={entry.operation.operationId} entry={entry} />
                  ))}
                </section>
              ))}
            </div>
          </Schemas.Provider>
        )}
      </main>
      <Toasts />
    </>
  );
}

function found(groups: Map<string, api.Entry[]>, typed: string): Map<string, api.Entry[]> {
  const words = typed.toLowerCase().split(/\s+/);
  const matches = ({ method, path, operation }: api.Entry) => {
    const text = `${method} ${path} ${operation.description ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const kept = [...groups].map(([tag, entries]) => [tag, entries.filter(matches)] as const);
  return new Map(kept.filter(([, entries]) => entries.length));
}

interface IndexProps {
  groups: Map<string, api.Entry[]>;
  typed: string;
  onType(text: string): void;
}

function Index({ groups, typed, onType }: IndexProps) {
  return (
    <nav class="index" aria-label="Operations">
      <label class="search">
        <span class="unseen">Find operations</span>
        <input type="search" placeholder="Find" value={typed} autocomplete="off" spellcheck={false} onInput={(event) => onType(event.currentTarget.value)} />
      </label>
      {[...groups].map(([tag, entries]) => (
        <div key={tag}>
          <p class="tag">{tag}</p>
          <ul>
            {entries.map(({ method, path, operation }) => (
              <li key={operation.operationId}>
                <a href={`#${operation.operationId}`}>
                  <Method name={method} />
                  <span>{path}</span>
                </a>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

// Longer names would not fit beside the paths.
const SHORT: Record<string, string> = { delete: "del", options: "opt" };

const Method = ({ name }: { name: string }) => (
  <span class="method" data-method={name}>
    {SHORT[name] ?? name}
  </span>
);

function Intro({ description: { info } }: { description: api.Description }) {
  return (
    <header class="intro">
      <h1>
        {info.title} API <small>{info.version}</small>
      </h1>
      <Prose text={info.description ?? ""} />
      <p class="note">
        <a href={address("/openapi.json")}>openapi.json</a> · for client generators and other tools
      </p>
    </header>
  );
}

// Paragraphs with `code` in them.
function Prose({ text }: { text: string }) {
  const paragraphs = text.split(/\n\s*\n/).filter(Boolean);
  return (
    <>
      {paragraphs.map((paragraph, index) => (
        <p key={index}>{coded(paragraph)}</p>
      ))}
    </>
  );
}

const coded = (text: string): ComponentChildren => text.split(/`([^`]*)`/).map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));

function Operation({ entry: { method, path, operation } }: { entry: api.Entry }) {
  const body = Object.entries(operation.requestBody?.content ?? {})[0];
  return (
    <article class="operation" id={operation.operationId} aria-labelledby={`${operation.operationId}-title`}>
      <h3 id={`${operation.operationId}-title`}>
        <Method name={method} />
        <a href={`#${operation.operationId}`}>{path}</a>
      </h3>
      <Prose text={operation.description ?? ""} />
      <Scopes operation={operation} />
      <Example entry={{ method, path, operation }} body={body} />
      {!!operation.parameters?.length && (
        <Part title="Parameters">
          <dl class="fields">
            {operation.parameters.map((parameter) => (
              <Field key={parameter.name} name={parameter.name} place={parameter.in} schema={parameter.schema ?? {}} isRequired={parameter.required} text={parameter.description} />
            ))}
          </dl>
        </Part>
      )}
      {body && (
        <Part title={`Body · ${body[0]}`}>
          <Fields schema={body[1].schema ?? {}} />
        </Part>
      )}
      <Part title="Responses">
        {Object.entries(operation.responses).map(([status, response]) => (
          <ResponseOf key={status} status={status} response={response} />
        ))}
      </Part>
    </article>
  );
}

function Scopes({ operation }: { operation: api.Operation }) {
  const security = operation.security ?? [];
  const scopes = new Set(security.flatMap((item) => Object.values(item).flat()));
  if (!scopes.size) return null;
  const isOptional = security.some((item) => !Object.keys(item).length);
  return (
    <p class="note">
      Needs a token with the scope {[...scopes].join(" or ")}
      {isOptional && ", where the server has tokens"}.
    </p>
  );
}

const Part = ({ title, children }: { title: string; children: ComponentChildren }) => (
  <section class="part">
    <h4>{title}</h4>
    {children}
  </section>
);

function Example({ entry: { method, path, operation }, body }: { entry: api.Entry; body: [string, api.Content] | undefined }) {
  const schemas = useContext(Schemas);
  const values = new Map(operation.parameters?.map((parameter) => [parameter.name, parameter.schema ? api.example(parameter.schema, schemas) : parameter.name]));
  const filled = path.replace(/{(\w+)}/g, (_, name: string) => String(values.get(name) ?? name));
  const query = operation.parameters?.filter((parameter) => parameter.in === "query" && parameter.required) ?? [];
  const search = query.length ? `?${query.map(({ name }) => `${name}=${inQuery(String(values.get(name)))}`).join("&")}` : "";
  const url = new URL(address(filled) + search, location.href).href;
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${url}'`];
  if (body?.[0] === "application/json") {
    lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(api.example(body[1].schema ?? {}, schemas)).replaceAll("'", `'\\''`)}'`);
  } else if (body) {
    lines.push("--data-binary @cat.jpg");
  }
  return (
    <Command text={lines.join(" \\\n  ")} label="A command that calls it" what={`Command for ${operation.operationId}`} />
  );
}

function Command({ text, label, what }: { text: string; label: string; what: string }) {
  return (
    <div class="command">
      <pre tabIndex={0} aria-label={label}>
        <code>{text}</code>
      </pre>
      <Copy text={text} what={what} />
    </div>
  );
}

// What a query may hold as it is stays readable.
const inQuery = (text: string) => encodeURIComponent(text).replace(/%(3D|2C|3A|2F)/g, (code) => decodeURIComponent(code));

function ResponseOf({ status, response }: { status: string; response: api.Response }) {
  const schemas = useContext(Schemas);
  const [type, content] = Object.entries(response.content ?? {})[0] ?? [];
  const isProblem = type === "application/problem+json";
  const head = (
    <>
      <span class="status" data-class={status[0]}>
        {status}
      </span>{" "}
      {coded(response.description ?? "")}
    </>
  );
  if (!content?.schema || isProblem) return <p class="response">{head}</p>;
  return (
    <details class="response">
      <summary>{head}</summary>
      <p class="note">{type}</p>
      <Fields schema={content.schema} />
      {type === "application/json" && (
        <Command text={JSON.stringify(api.example(content.schema, schemas), null, 2)} label="An example of the response" what="Example" />
      )}
    </details>
  );
}

// The fields of an object, or of the objects in a list.
function Fields({ schema, depth = 0 }: { schema: api.Schema; depth?: number }) {
  const schemas = useContext(Schemas);
  const known = objectIn(schema, schemas);
  if (!known) return <p class="note">{api.typeOf(schema)}</p>;
  return (
    <>
      {known.description && depth === 0 && <Prose text={known.description} />}
      <dl class="fields">
        {Object.entries(known.properties ?? {}).map(([name, property]) => (
          <Field key={name} name={name} schema={property} isRequired={known.required?.includes(name)} text={property.description} depth={depth} />
        ))}
      </dl>
    </>
  );
}

function objectIn(schema: api.Schema, schemas: Record<string, api.Schema>): api.Schema | null {
  const known = api.resolve(schema, schemas);
  if (known.properties) return known;
  if (known.items) return objectIn(known.items, schemas);
  if (typeof known.additionalProperties === "object") return objectIn(known.additionalProperties, schemas);
  for (const variant of known.anyOf ?? known.oneOf ?? known.allOf ?? []) {
    const inner = objectIn(variant, schemas);
    if (inner) return inner;
  }
  return null;
}

interface FieldProps {
  name: string;
  schema: api.Schema;
  place?: string;
  isRequired?: boolean | undefined;
  text?: string | undefined;
  depth?: number;
}

const MAX_DEPTH = 3;

function Field({ name, schema, place, isRequired, text, depth = 0 }: FieldProps) {
  const schemas = useContext(Schemas);
  const inner = depth < MAX_DEPTH ? objectIn(schema, schemas) : null;
  return (
    <div class="row">
      <dt>
        <code>{name}</code> <span class="type">{api.typeOf(schema)}</span>
        {place && place !== "query" && <span class="type"> · {place}</span>}
        {isRequired && <span class="required"> required</span>}
      </dt>
      <dd>
        {text && <span>{coded(text)}</span>}
        {inner && <Inner schema={inner} depth={depth + 1} />}
      </dd>
    </div>
  );
}

// Drawn when it is first opened: models may hold each other.
function Inner({ schema, depth }: { schema: api.Schema; depth: number }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{Object.keys(schema.properties ?? {}).length} fields</summary>
      {isOpen && <Fields schema={schema} depth={depth} />}
    </details>
  );
}
