// What a stranger sees: the page asks for a token.

import { useState } from "preact/hooks";

import { isOnAws, loginPages } from "../api/aws";
import { Problem, address } from "../api/client";
import { loginProblem, session, signIn, signInElsewhere, signOut } from "../state/access";
import { sayError } from "../state/toasts";

const TROUBLE: Record<string, string> = {
  unauthorized: "This server does not know that token.",
  "too-many-requests": "Too many unknown tokens. Try again in a minute.",
};

const trouble = (error: Error): string =>
  (error instanceof Problem && TROUBLE[error.problem.code ?? ""]) || error.message;

export function SignIn() {
  return <main class="sign-in">{loginPages ? <LoginPages /> : <Token />}</main>;
}

const Title = () => (
  <>
    <img src={address("/static/icon.svg")} alt="" width="44" height="44" />
    <h1>Image processor</h1>
  </>
);

function Alert({ text }: { text: string | null }) {
  return (
    <p class="problem" role="alert">
      {text}
    </p>
  );
}

// The login pages of the user pool ask who it is, and lead back here.
function LoginPages() {
  const [isLeaving, setLeaving] = useState(false);
  const leave = () => {
    setLeaving(true);
    signInElsewhere().catch((error: Error) => {
      loginProblem.value = error.message;
      setLeaving(false);
    });
  };
  return (
    <div class="ask" id="sign-in">
      <Title />
      <p class="note">You sign in on a page of your organisation, and come back here.</p>
      <Alert text={loginProblem.value} />
      <button class="button primary" type="button" autofocus disabled={isLeaving} onClick={leave}>
        Sign in
      </button>
    </div>
  );
}

function Token() {
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
    <form class="ask" id="sign-in" onSubmit={(event) => void onSubmit(event)}>
      <Title />
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
      <Alert text={problem} />
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
  );
}

// Shown where the server asks for tokens only.
export function SignOut() {
  const { required, name, scope } = session.value ?? {};
  if (!required) return null;
  const who = isOnAws ? `as ${name}, who` : `with the token ${name}, which`;
  const title = name ? `Signed in ${who} may ${scope}` : "Signed in";
  return (
    <button class="button" type="button" id="sign-out" title={title} onClick={() => void signOut().catch(sayError)}>
      Sign out
    </button>
  );
}
