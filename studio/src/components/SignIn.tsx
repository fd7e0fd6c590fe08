// What a stranger sees: the page asks for a token.

import { useState } from "preact/hooks";

import { isOnAws } from "../api/aws";
import { Problem, address } from "../api/client";
import { session, signIn, signOut } from "../state/access";
import { sayError } from "../state/toasts";

const TROUBLE: Record<string, string> = {
  unauthorized: "This server does not know that token.",
  "too-many-requests": "Too many unknown tokens. Try again in a minute.",
};

const trouble = (error: Error): string =>
  (error instanceof Problem && TROUBLE[error.problem.code ?? ""]) || error.message;

export function SignIn() {
  const [problem, setProblem] = useState<string | null>(null);
  const [isSending, setSending] = useState(false);
  const onSubmit = async (event: SubmitEvent) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get("token") as string;
    setSending(true);
    setProblem(null);
    await signIn(token).catch((error: Error) => setProblem(trouble(error)));
    setSending(false);
  };
  return (
    <main class="sign-in">
      <form id="sign-in" onSubmit={(event) => void onSubmit(event)}>
        <img src={address("/static/icon.svg")} alt="" width="44" height="44" />
        <h1>Image processor</h1>
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          required
          autofocus
          spellcheck={false}
          aria-describedby="token-note"
        />
        <p class="problem" role="alert">
          {problem}
        </p>
        <button class="button primary" type="submit" disabled={isSending}>
          Sign in
        </button>
        <p class="note" id="token-note">
          {isOnAws ? (
            "What API Gateway asks for: an API key, or a token of the user pool. It is kept until you close this tab."
          ) : (
            <>
              Whoever runs this server makes one with <code>image-processor token create</code>.
            </>
          )}
        </p>
      </form>
    </main>
  );
}

// Shown where the server asks for tokens only.
export function SignOut() {
  const { required, name, scope } = session.value ?? {};
  if (!required) return null;
  const title = name ? `Signed in with the token ${name}, which may ${scope}` : "Signed in";
  return (
    <button class="button" type="button" id="sign-out" title={title} onClick={() => void signOut().catch(sayError)}>
      Sign out
    </button>
  );
}
