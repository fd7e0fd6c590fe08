// The page on AWS: API Gateway lets requests in by a header instead of a cookie, and files go to the bucket by a
// form that the API signs.

// deploy.sh writes the template's ApiAuthorization and EnableDelete here; both are empty on one machine.
const meta = document.querySelector<HTMLMetaElement>('meta[name="image-processor"]');
const authorization = meta?.content ?? "";

export const isOnAws = authorization !== "";
export const canDelete = meta?.dataset.delete !== "false";

// The login pages of the user pool. Their addresses have no slash at their end.
export interface LoginPages {
  readonly domain: string;
  readonly client: string;
  readonly issuer: string;
  // The identifier of the resource server with the scopes read and write; empty if there is none.
  readonly resource: string;
}

const { login: domain = "", client = "", issuer = "", resource = "" } = meta?.dataset ?? {};
// Null if the page asks for a key or token itself.
export const loginPages: LoginPages | null = domain ? { domain, client, issuer, resource } : null;

const HEADER = authorization === "API_KEY" ? "x-api-key" : "authorization";
const STORED = "image-processor";

// The key or token, which ends with the browser's tab.
export const credential = {
  read: () => sessionStorage.getItem(STORED),
  write: (text: string) => sessionStorage.setItem(STORED, text),
  remove: () => sessionStorage.removeItem(STORED),
};

// What a token of the user pool says; nothing if it is none: API Gateway will say what is wrong with it.
function claimsOf(token: string): Record<string, unknown> {
  if (authorization !== "COGNITO") return {};
  try {
    const [, claims = ""] = token.split(".");
    return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {};
  }
}

// What the token of a user pool allows: an access token has scopes, such as "images/read". Others may do everything
// that the API offers.
export function scopeOf(token: string): "read" | "write" {
  const names = String(claimsOf(token).scope ?? "").split(" ");
  return names.some((name) => name.endsWith("/read")) && !names.some((name) => name.endsWith("/write")) ? "read" : "write";
}

// The name of the user in an access token, or in an ID token.
export function userOf(token: string): string | null {
  const { username, "cognito:username": name = username } = claimsOf(token);
  return typeof name === "string" ? name : null;
}

export function headers(): Record<string, string> {
  const text = isOnAws ? credential.read() : null;
  return text ? { [HEADER]: text } : {};
}

// Whether API Gateway has refused the caller: it answers 403 for a wrong key, and the function does not.
export const isRefused = (status: number, code: string | undefined): boolean =>
  status === 401 || code === "unauthorized" || (isOnAws && status === 403 && code === "forbidden");

// API Gateway's description of the form is of another application than that of one machine, whose types are here.
export interface Form {
  id: string;
  key: string;
  url: string;
  fields: Record<string, string>;
}

// S3 takes the fields first and the file last.
export function body(form: Form, file: File): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(form.fields)) data.append(name, value);
  data.append("file", file);
  return data;
}
