"""The login pages of a user pool, and the studio's page on AWS before an API that wants their tokens.

The pages do what Cognito documents: codes are for one use, for one redirect URI, and for whoever has the
verifier of PKCE; refresh tokens can be revoked; the logout endpoint leads back to the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import studio_page
from serving import Site

from support.certificates import make_certificate
from support.plain_http import NO_CERTIFICATES
from support.scripted_http import Reply, Script, Seen, scripted
from support.studio_policy import studio_policy

CLIENT = "the-studio"
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI"
API_PATHS = ("/images", "/uploads", "/folders", "/recipe", "/health", "/renditions")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PAGE = """<!doctype html><title>Sign in</title><form method="post">
<label>Name <input name="name"></label><button>Continue</button></form>"""


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class LoginPages:
    """What has happened at the pages, and what the next tokens are like."""

    address: str = ""
    home: str = ""
    """The only redirect URI of the client."""
    scopes: str = "images/read images/write"
    lifetime: int = 3600
    refusal: str = ""
    """With it the pages let nobody in."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    live: dict[str, float] = field(default_factory=dict)
    """When each token that an API accepts ends."""
    refresh: dict[str, str] = field(default_factory=dict)
    """The user of each refresh token that is not revoked."""
    grants: list[str] = field(default_factory=list)
    logouts: list[dict[str, str]] = field(default_factory=list)
    takes: str = "access"
    """Which token the API wants: access or id."""

    def respond(self, seen: Seen) -> Reply:
        url = urlsplit(seen.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        ways = {
            ("GET", "/oauth2/authorize"): self._form,
            ("POST", "/oauth2/authorize"): lambda: self._authorise(query, body["name"]),
            ("POST", "/oauth2/token"): lambda: self._token(body),
            ("POST", "/oauth2/revoke"): lambda: self._revoke(body),
            ("GET", "/logout"): lambda: self._log_out(query),
        }
        return ways.get((seen.method, url.path), lambda: Reply(404))()

    def _form(self) -> Reply:
        return Reply(body=PAGE.encode(), headers={"content-type": "text/html"})

    def _revoke(self, body: dict[str, str]) -> Reply:
        assert body["client_id"] == CLIENT
        del self.refresh[body["token"]]
        return Reply(headers=self._cors())

    def _log_out(self, query: dict[str, str]) -> Reply:
        self.logouts.append(query)
        return _redirect(self.home)

    def _cors(self) -> dict[str, str]:
        return {"access-control-allow-origin": self.home.rstrip("/")}

    def _authorise(self, query: dict[str, str], name: str) -> Reply:
        assert (query["client_id"], query["response_type"]) == (CLIENT, "code")
        assert (query["redirect_uri"], query["code_challenge_method"]) == (self.home, "S256")
        if self.refusal:
            problem = {"error": "access_denied", "error_description": self.refusal, "state": query["state"]}
            return _redirect(f"{self.home}?{urlencode(problem)}")
        code = secrets.token_urlsafe(8)
        self.codes[code] = query | {"name": name}
        return _redirect(f"{self.home}?{urlencode({'code': code, 'state': query['state']})}")

    def _token(self, body: dict[str, str]) -> Reply:
        assert body["client_id"] == CLIENT
        self.grants.append(body["grant_type"])
        if body["grant_type"] == "refresh_token":
            name = self.refresh.get(body["refresh_token"])
            return self._tokens(name, nonce=None, refresh=None) if name else self._refused()
        asked = self.codes.pop(body["code"], None)
        if asked is None or body["redirect_uri"] != asked["redirect_uri"]:
            return self._refused()
        if encoded(hashlib.sha256(body["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return self._refused()
        refresh = secrets.token_urlsafe(8)
        self.refresh[refresh] = asked["name"]
        return self._tokens(asked["name"], nonce=asked["nonce"], refresh=refresh)

    def _refused(self) -> Reply:
        return Reply(400, b'{"error": "invalid_grant"}', self._cors() | {"content-type": "application/json"})

    def _tokens(self, name: str, *, nonce: str | None, refresh: str | None) -> Reply:
        now = int(time.time())
        common = {"iss": ISSUER, "sub": "1", "iat": now, "exp": now + 3600, "jti": secrets.token_hex(4)}
        access = _jwt({**common, "username": name, "scope": f"openid {self.scopes}", "token_use": "access"})
        identity = _jwt(
            {**common, "aud": CLIENT, "cognito:username": name} | ({"nonce": nonce} if nonce else {})
        )
        self.live[access if self.takes == "access" else identity] = now + self.lifetime
        answer = {"access_token": access, "id_token": identity, "token_type": "Bearer"}
        answer |= {"expires_in": self.lifetime} | ({"refresh_token": refresh} if refresh else {})
        return Reply(
            body=json.dumps(answer).encode(), headers=self._cors() | {"content-type": "application/json"}
        )


def _jwt(claims: dict[str, object]) -> str:
    """A token whose signature nobody reads: the page has it from its source, and the API knows it."""
    parts = ({"alg": "RS256", "kid": "a"}, claims)
    return ".".join([*(encoded(json.dumps(part).encode()) for part in parts), encoded(b"a signature")])


def _redirect(to: str) -> Reply:
    return Reply(302, headers={"location": to})


@dataclass
class Front:
    """What CloudFront and API Gateway do: the files of the page, and the API for callers with a token."""

    folder: Path
    pages: LoginPages
    site: Site
    policy: str = ""

    def respond(self, seen: Seen) -> Reply:
        path = urlsplit(seen.target).path
        if path.startswith(API_PATHS):
            return self._api(seen)
        file = self.folder / (path.lstrip("/") or "index.html")
        if not file.is_file():
            return Reply(404)
        headers = {"content-type": TYPES[file.suffix], "content-security-policy": self.policy}
        return Reply(body=file.read_bytes(), headers=headers)

    def _api(self, seen: Seen) -> Reply:
        is_public = seen.target.startswith("/renditions/")
        if not is_public and seen.headers.get("authorization") not in self.pages.live:
            problem = b'{"status": 401, "code": "unauthorized", "detail": "Unauthorized"}'
            return Reply(401, problem, {"content-type": "application/problem+json"})
        sent = {name: seen.headers[name] for name in ("content-type",) if name in seen.headers}
        url = self.site.url + seen.target
        answer = httpx.request(seen.method, url, headers=sent, content=seen.body, verify=NO_CERTIFICATES)
        return Reply(
            answer.status_code, answer.content, {"content-type": answer.headers.get("content-type", "")}
        )


@contextmanager
def hosted(site: Site, folder: Path, *, resource: str = "images") -> Iterator[tuple[LoginPages, Script]]:
    """The login pages, and the studio of ``site`` that uses them."""
    certificate, _ = make_certificate(folder)
    pages = LoginPages(takes="access" if resource else "id")
    with scripted(Reply(), tls=certificate) as idp, scripted(Reply()) as cdn:
        pages.address, pages.home = idp.address, f"{cdn.address}/"
        login = studio_page.LoginPages(idp.address, CLIENT, ISSUER, resource)
        web = folder / "web"
        web.mkdir()
        studio_page.write(web, "COGNITO", can_delete=True, login=login)
        policy = studio_policy("https://uploads.example", "https://cdn.example", idp.address)
        idp.respond, cdn.respond = pages.respond, Front(web, pages, site, policy).respond
        yield pages, cdn
