// An authorization code with PKCE (RFC 7636) from the login pages of the user pool, exchanged for tokens, which the tab
// keeps until it is closed.

import * as oauth from "oauth4webapi";

import { credential, loginPages } from "./aws";
import { begun, forget, renewal, type Begun } from "./login";

const { domain, client: client_id, issuer, resource } = loginPages!;

// Cognito's endpoints. Its description of them is at the issuer, which is another host.
const server: oauth.AuthorizationServer = {
  issuer,
  authorization_endpoint: `${domain}/oauth2/authorize`,
  token_endpoint: `${domain}/oauth2/token`,
  revocation_endpoint: `${domain}/oauth2/revoke`,
};
const client: oauth.Client = { client_id };
const PUBLIC = oauth.None();
const SCOPE = resource ? `openid ${resource}/read ${resource}/write` : "openid";
const HERE = new URL("./", document.baseURI).href;

export async function begin(): Promise<void> {
  const [state, nonce, verifier] = [oauth.generateRandomState(), oauth.generateRandomNonce(), oauth.generateRandomCodeVerifier()];
  begun.write({ state, nonce, verifier, address: location.href });
  const query = new URLSearchParams({
    client_id,
    response_type: "code",
    redirect_uri: HERE,
    scope: SCOPE,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  location.assign(`${server.authorization_endpoint}?${query}`);
}

export async function exchange(address: URL, { state, nonce, verifier }: Begun): Promise<void> {
  try {
    const parameters = oauth.validateAuthResponse(server, client, address, state);
    const response = await oauth.authorizationCodeGrantRequest(server, client, PUBLIC, parameters, HERE, verifier);
    keep(await oauth.processAuthorizationCodeResponse(server, client, response, { expectedNonce: nonce, requireIdToken: true }), null);
  } catch (error) {
    throw new Error(`Signing in failed: ${reason(error)}.`);
  }
}

// Without network the token stays, and the request says that the server does not respond.
export async function renew(token: string): Promise<void> {
  try {
    const response = await oauth.refreshTokenGrantRequest(server, client, PUBLIC, token);
    keep(await oauth.processRefreshTokenResponse(server, client, response), token);
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) forget();
  }
}

// With a resource server, API Gateway reads the scopes of access tokens; otherwise it wants an ID token.
function keep(tokens: oauth.TokenEndpointResponse, before: string | null): void {
  const { access_token, id_token, refresh_token, expires_in } = tokens;
  const token = resource ? access_token : id_token;
  if (!token) throw new Error("expected an ID token, got none");
  credential.write(token);
  renewal.write({ token: refresh_token ?? before, expires: Date.now() + 1000 * (expires_in ?? 3600) });
}

export async function end(): Promise<string> {
  const token = renewal.read()?.token;
  forget();
  // It ends by itself if the server does not respond.
  if (token) await oauth.revocationRequest(server, client, PUBLIC, token).catch(() => {});
  return `${domain}/logout?${new URLSearchParams({ client_id, logout_uri: HERE })}`;
}

function reason(error: unknown): string {
  if (error instanceof oauth.AuthorizationResponseError || error instanceof oauth.ResponseBodyError) {
    return error.error_description ?? error.error;
  }
  return (error as Error).message;
}
