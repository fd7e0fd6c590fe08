"""ASGI middleware that asks for a token: the first line behind `OriginGuard`, before a body is read.

A request brings a token in `Authorization: Bearer`, as programs do, or the cookie of a session, as the page
does. Hits of renditions are answered before any middleware; they are public.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Collection

from msgspec import Struct
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from image_processor.config.tokens import Scope as TokenScope
from image_processor.config.tokens import Token, find_token

from .access import Access, RouteAccess
from .middleware import SAFE_METHODS, is_own_page, send_with
from .problems import problem
from .sessions import COOKIE, Session, Sessions, WrongTokens, network_of

_CHALLENGE = 'Bearer realm="image-processor"'
_STATE, _ACCESS = "caller", "access"
_log = logging.getLogger(__name__)


class Caller(Struct, frozen=True):
    """Who sends a request. ``scope`` is None for strangers; ``token`` is None also where the server has none.
    ``session`` is what the cookie stands for."""

    scope: TokenScope | None = None
    token: Token | None = None
    session: Session | None = None


ANYBODY = Caller(TokenScope.ADMIN)
"""The caller of a server without tokens."""

STRANGER = Caller()


class Authenticator(Struct, frozen=True):
    """Knows who may use the server: its tokens, which ``tokens`` returns, and the sessions of the page."""

    tokens: Callable[[], Collection[Token]]
    sessions: Sessions
    wrong_tokens: WrongTokens

    @classmethod
    def of(cls, tokens: Callable[[], Collection[Token]]) -> Authenticator:
        return cls(tokens, Sessions(tokens), WrongTokens())

    def still_accepts(self, caller: Caller) -> bool:
        """Whether a caller who was accepted would be accepted again: the session is still open, the token is
        still one of the server's, or the server still has no tokens."""
        if caller.session is not None:
            return self.sessions.is_open(caller.session)
        return caller.token in self.tokens() if caller.token else not self.tokens()


class AccessGuard:
    """Lets requests pass whose caller may do what the route needs, and gives the routes the caller."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, routes: RouteAccess) -> None:
        self._app = app
        self._gate = authenticator
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        access = self._routes.of(scope)
        scope.setdefault("state", {})[_ACCESS] = access
        if access is Access.PUBLIC or not self._gate.tokens():
            scope.setdefault("state", {})[_STATE] = STRANGER if self._gate.tokens() else ANYBODY
            await self._app(scope, receive, send)
            return
        caller = self._identify(scope)
        app = caller if not isinstance(caller, Caller) else refusal_of(access, caller) or self._app
        scope.setdefault("state", {})[_STATE] = caller
        # What is for some people only must not stay in the cache of a browser or a proxy.
        await app(scope, receive, send_with(send, {"cache-control": "no-store"}))

    def _identify(self, scope: Scope) -> Caller | ASGIApp:
        """Who sends the request, or the response to one with a wrong token."""
        headers = Headers(scope=scope)
        values = headers.getlist("authorization")
        bearer = [value[7:].strip() for value in values if value[:7].lower() == "bearer "]
        if len(bearer) > 1:  # servers and proxies would disagree about which one counts
            return problem(400, "bad-request", "expected one Authorization header, got more")
        if bearer:
            token = find_token(self._gate.tokens(), bearer[0])
            return Caller(token.scope, token) if token else refuse_token(self._gate, scope)
        session = self._gate.sessions.find(cookies_of(scope))
        if session is None or not _may_use_cookie(scope["method"], headers):
            return STRANGER
        return Caller(session.token.scope, session.token, session)


def refusal_of(access: Access, caller: Caller) -> ASGIApp | None:
    """The response to a caller who may not do this; None if it is allowed."""
    needed = access.scope
    if needed is None or (caller.scope is not None and caller.scope.covers(needed)):
        return None
    if caller.scope is None:
        return unauthorized("expected a token, got none")
    challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{needed}"'
    return problem(
        403,
        "insufficient-scope",
        f"expected a token of the scope {needed} or above, got {caller.scope}",
        {"www-authenticate": challenge},
        fix="Ask the administrator of the server for such a token.",
    )


def unauthorized(detail: str) -> ASGIApp:
    """The response to a request that needs a token and has none, or an unknown one."""
    fix = "Sign in on the page, or send a token as `Authorization: Bearer`."
    return problem(401, "unauthorized", detail, {"www-authenticate": _CHALLENGE}, fix=fix)


def refuse_token(authenticator: Authenticator, scope: Scope) -> ASGIApp:
    """The response to an unknown token, which counts against the client's address."""
    address = client_address(scope)
    if response := too_many(authenticator, scope):
        return response
    if authenticator.wrong_tokens.note(address):
        _log.warning("too many unknown tokens from %s", address)
    return unauthorized("expected a token of this server, got an unknown one")


def too_many(authenticator: Authenticator, scope: Scope) -> ASGIApp | None:
    """The response to a client that has sent too many unknown tokens; None if it may send one."""
    seconds = authenticator.wrong_tokens.seconds_left(client_address(scope))
    if not seconds:
        return None
    wait = {"retry-after": str(int(seconds) + 1)}
    return problem(
        429, "too-many-requests", "expected few unknown tokens from one address, got too many", wait
    )


def caller_of(connection: HTTPConnection) -> Caller:
    """Who sends the request."""
    caller: Caller = connection.scope["state"][_STATE]
    return caller


def client_of(scope: Scope) -> str:
    """What requests of one client have in common, where each client has a share: the name of the token, or
    without one the network that they come from."""
    caller: Caller | None = scope.get("state", {}).get(_STATE)
    if caller is not None and caller.token is not None:
        return f"token {caller.token.name}"
    return f"address {network_of(client_address(scope))}"


def is_public(scope: Scope) -> bool:
    """Whether a request is one that needs no token and does not look at it, such as for a rendition."""
    return scope["state"][_ACCESS] is Access.PUBLIC


def is_stranger(scope: Scope) -> bool:
    """Whether a server with tokens knows nothing of who sends the request."""
    caller: Caller | None = scope.get("state", {}).get(_STATE)
    return caller == STRANGER


def cookies_of(scope: Scope) -> list[str]:
    """The values of the cookies that have the session's name."""
    pairs = ";".join(Headers(scope=scope).getlist("cookie")).split(";")
    return [
        value.strip() for name, _, value in (pair.partition("=") for pair in pairs) if name.strip() == COOKIE
    ]


def client_address(scope: Scope) -> str:
    """The address whose unknown tokens and requests are counted: the client's, or what a proxy in a private
    network says. A client in such a network may lie about it. That does not help to guess 256 bits, but gives
    it the shares of others (docs/access.md).
    """
    address: str = scope["client"][0] if scope.get("client") else ""
    # A proxy may add a line of its own below those of the client.
    forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        peer = ipaddress.ip_address(address)
        is_proxy = peer.is_loopback or peer.is_private
        return str(ipaddress.ip_address(forwarded)) if is_proxy and forwarded else address
    except ValueError:
        return address


def _may_use_cookie(method: str, headers: Headers) -> bool:
    """Whether a page of this server sends the request. SameSite=Strict alone lets pages of other ports of the
    same host through."""
    if method in SAFE_METHODS:  # browsers send no Sec-Fetch-Site to addresses without TLS
        return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    return is_own_page(headers)
