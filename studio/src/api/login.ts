// Whether and until when somebody is signed in at the login pages of the user pool. What speaks OAuth is in oauth.ts,
// which is loaded when somebody signs in or out, and when a token must be renewed.

import { credential, loginPages } from "./aws";

// Of a sign-in that has begun, until the login pages lead back to the page.
export interface Begun {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
  // Where the user was.
  readonly address: string;
}

// Beside the token that requests carry.
export interface Renewal {
  // Null if the user must sign in again.
  readonly token: string | null;
  // When the token that requests carry ends.
  readonly expires: number;
}

function slot<T>(name: string) {
  return {
    read: (): T | null => JSON.parse(sessionStorage.getItem(name) ?? "null"),
    write: (value: T) => sessionStorage.setItem(name, JSON.stringify(value)),
    remove: () => sessionStorage.removeItem(name),
  };
}

export const begun = slot<Begun>("image-processor-begun");
export const renewal = slot<Renewal>("image-processor-renewal");

// A request that is on its way must not end with the token.
const EARLY_MILLISECONDS = 60_000;

let renewing: Promise<void> | null = null;

// Renews the token if it ends soon: once for all requests that wait for it.
export function renew(): Promise<void> {
  const { token, expires } = (loginPages && renewal.read()) ?? {};
  if (!token || !expires || Date.now() < expires - EARLY_MILLISECONDS) return Promise.resolve();
  renewing ??= import("./oauth").then((oauth) => oauth.renew(token)).finally(() => (renewing = null));
  return renewing;
}

export const begin = async (): Promise<void> => (await import("./oauth")).begin();

// Ends a sign-in that has begun, if the login pages have led here. Throws what they say against it.
export async function complete(): Promise<void> {
  const address = new URL(location.href);
  const { searchParams: query } = address;
  if (!loginPages || !query.has("state") || !(query.has("code") || query.has("error"))) return;
  const before = begun.read();
  begun.remove();
  // The code is used up: it must be neither in the address nor in the history.
  history.replaceState(null, "", before?.address ?? address.pathname);
  if (!before) throw new Error("This sign-in was begun in another tab. Sign in here.");
  await (await import("./oauth")).exchange(address, before);
}

export function forget(): void {
  credential.remove();
  renewal.remove();
}

// Returns the address of the login pages that ends the session there, too.
export const end = async (): Promise<string> => (await import("./oauth")).end();
