// Who uses the page: a token is exchanged for a cookie, which the browser keeps and no script can read.

import * as aws from "./aws";
import * as login from "./login";
import { Problem, address, health } from "./client";
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

const STRANGER: Session = { required: true, scope: null, name: null, expires_at: null };

// API Gateway has no sessions: what it says about any request is the answer. The token says what the caller may do.
async function readOnAws(): Promise<Session> {
  await login.renew();
  const token = aws.credential.read();
  if (!token) return STRANGER;
  try {
    await health();
  } catch (error) {
    if (error instanceof Problem && aws.isRefused(403, error.problem.code)) return STRANGER;
    throw error;
  }
  return { ...STRANGER, scope: aws.scopeOf(token), name: aws.userOf(token) };
}

async function signInOnAws(token: string): Promise<Session> {
  aws.credential.write(token);
  const session = await readOnAws();
  if (session.scope) return session;
  aws.credential.remove();
  throw new Problem({ code: "unauthorized", detail: "API Gateway refuses it." });
}

export const read = () => (aws.isOnAws ? readOnAws() : send<Session>("GET"));
export const signIn = (token: string) => (aws.isOnAws ? signInOnAws(token) : send<Session>("POST", { token }));

// Returns where the user goes then; null is this page.
export async function signOut(): Promise<string | null> {
  if (aws.loginPages) return login.end();
  if (aws.isOnAws) aws.credential.remove();
  else await send<null>("DELETE");
  return null;
}
