// Who uses the page: a token is exchanged for a cookie, which the browser keeps and no script can read.

import { Problem, address } from "./client";
import type { components } from "./schema";

export type Session = components["schemas"]["SessionModel"];
export type Scope = NonNullable<Session["scope"]>;

async function send<T>(method: string, body?: object): Promise<T> {
  const headers: HeadersInit = body ? { "content-type": "application/json" } : {};
  const response = await fetch(address("/session"), { method, headers, body: body ? JSON.stringify(body) : null });
  if (response.status === 204) return null as T;
  const answer = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Problem(answer);
  return answer;
}

export const read = () => send<Session>("GET");
export const signIn = (token: string) => send<Session>("POST", { token });
export const signOut = () => send<null>("DELETE");
