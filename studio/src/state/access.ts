// What the user of the page may do.

import { computed, signal } from "@preact/signals";

import { canDelete } from "../api/aws";
import { UNAUTHORIZED } from "../api/client";
import * as login from "../api/login";
import * as api from "../api/session";

const ORDER: readonly api.Scope[] = ["read", "write", "admin"];

// Null until the server has said it. Until then the page looks as for somebody who may do everything: most
// servers ask for no token, and nothing must move when the response comes.
export const session = signal<api.Session | null>(null);

const may = (scope: api.Scope) =>
  computed(() => {
    const has = session.value?.scope;
    return has === undefined || (has !== null && ORDER.indexOf(has) >= ORDER.indexOf(scope));
  });

export const mayRead = may("read");
export const mayWrite = may("write");
export const mayDelete = computed(() => canDelete && mayWrite.value);
export const mayAdmin = may("admin");

// Reads what the user may do; whether that is anything. A server that does not respond is asked again by whoever
// needs it.
export async function load(): Promise<boolean> {
  session.value = await api.read().catch(() => session.peek());
  return mayRead.peek();
}

// The page begins anew, so that nothing of the previous user is left in it.
export async function signIn(token: string): Promise<void> {
  await api.signIn(token.trim());
  location.reload();
}

export async function signOut(): Promise<void> {
  const next = await api.signOut();
  if (next) location.assign(next);
  else location.reload();
}

// Why the login pages let nobody in.
export const loginProblem = signal<string | null>(null);

export const signInElsewhere = login.begin;

// Ends a sign-in that has led here from the login pages.
export const completeLogin = (): Promise<void> => login.complete().catch((error: Error) => void (loginProblem.value = error.message));

export function start(): void {
  addEventListener(UNAUTHORIZED, () => void load());
}
