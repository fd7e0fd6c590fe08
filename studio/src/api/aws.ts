// The page on AWS: API Gateway lets requests in by a header instead of a cookie, and files go to the bucket by a
// form that the API signs.

// deploy.sh writes the template's ApiAuthorization and EnableDelete here; both are empty on one machine.
const meta = document.querySelector<HTMLMetaElement>('meta[name="image-processor"]');
const authorization = meta?.content ?? "";

export const isOnAws = authorization !== "";
export const canDelete = meta?.dataset.delete !== "false";

const HEADER = authorization === "API_KEY" ? "x-api-key" : "authorization";
const STORED = "image-processor";

// The key or token, which ends with the browser's tab.
export const credential = {
  read: () => sessionStorage.getItem(STORED),
  write: (text: string) => sessionStorage.setItem(STORED, text),
  remove: () => sessionStorage.removeItem(STORED),
};

// What the token of a user pool allows: an access token has scopes, such as "images/read". Others may do everything
// that the API offers.
export function scopeOf(token: string): "read" | "write" {
  if (authorization !== "COGNITO") return "write";
  try {
    const [, claims = ""] = token.split(".");
    const { scope = "" } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")));
    const names: string[] = scope.split(" ");
    return names.some((name) => name.endsWith("/read")) && !names.some((name) => name.endsWith("/write")) ? "read" : "write";
  } catch {
    return "write"; // API Gateway will say what is wrong with it
  }
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
