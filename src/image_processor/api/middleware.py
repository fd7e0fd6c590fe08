"""ASGI middleware: security headers for every response, and what one machine refuses before any route.

The server of one machine has no login, so a browser must not send requests on behalf of another site:
`OriginGuard` rejects foreign host names (DNS rebinding) and cross-site writes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from anyio import fail_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from image_processor.config.settings import Settings
from image_processor.domain.redaction import printable

from .forms import is_form
from .origin import SECURITY_HEADERS, HostNames
from .problems import of_status, problem
from .resumable_path import is_resumable

MAX_BODY_BYTES = 64 * 1024
"""The largest body of a request that is not an upload."""

BODY_SECONDS = 30.0
"""The longest time that a body of at most MAX_BODY_BYTES may take."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOADS_PATH = "/uploads"
_log = logging.getLogger(__name__)


class SecurityHeadersMiddleware:
    """Adds security headers to each response, and turns an unexpected exception into a plain 500.

    It keeps headers that a response already has.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        send_with_headers = send_with(note_start, SECURITY_HEADERS)

        try:
            app = self._rejection(scope) or self._app
            await app(scope, receive, send_with_headers)
        except Exception:
            if started:  # the status is sent: all that is left is to close the connection
                raise
            _log.exception("unexpected error on %s %s", scope["method"], printable(scope["path"]))
            await of_status(500)(scope, receive, send_with_headers)

    def _rejection(self, scope: Scope) -> ASGIApp | None:  # noqa: ARG002 - for subclasses
        """The response that rejects the request; None to let it pass."""
        return None


def send_with(send: Send, added: Mapping[str, str]) -> Send:
    """``send`` that gives each response the headers ``added`` that it does not have."""

    async def send_with_headers(message: Message) -> None:
        # The headers of a 304 replace those that the client has cached (RFC 9111, 3.2).
        if message["type"] == "http.response.start" and message["status"] != 304:
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


class OriginGuard(SecurityHeadersMiddleware):
    """The middleware around the application of one machine: rejects host names that are not the
    server's, writes from other sites, and bodies that are too large or of unknown length."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(app)
        self._hosts = HostNames(settings.host, settings.allowed_hosts)
        self._origins = frozenset(settings.api_origins)

    def _rejection(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if not self._hosts.has(headers.get("host", "")):
            return problem(
                421,
                "unknown-host",
                f"expected a name of this server for Host, got {headers.get('host')!r}",
                fix="Add the name to IMAGE_PROCESSOR_ALLOWED_HOSTS if it is one.",
            )
        is_foreign = _is_cross_site(headers) and headers.get("origin") not in self._origins
        # A POST whose method another header replaces may have become a safe one.
        is_safe = scope["method"] in SAFE_METHODS and "x-http-method-override" not in headers
        if is_foreign and not is_safe:
            return problem(403, "cross-site", "expected this server's own pages for Origin, got another site")
        if is_streamed(scope):
            return None
        if "transfer-encoding" in headers:
            return of_status(411, "expected a Content-Length, got a body of unknown length")
        if int(headers.get("content-length", "0")) > MAX_BODY_BYTES:
            return of_status(413, f"expected at most {MAX_BODY_BYTES} bytes for the body, got more")
        return None


def is_streamed(scope: Scope) -> bool:
    """Whether a route reads the body as it arrives, with limits of its own: uploads do."""
    method, path = scope["method"], scope["path"]
    if is_resumable(path):
        return method in {"POST", "PATCH"}
    if method == "PUT":
        return bool(path.startswith(f"{UPLOADS_PATH}/"))
    is_upload = method == "POST" and path == UPLOADS_PATH
    return is_upload and is_form(Headers(scope=scope).get("content-type", ""))


class BodyTimeoutMiddleware:
    """Reads a small body completely before the route runs, and answers 408 if that takes longer than
    BODY_SECONDS. Uploads have a minimum rate instead. OriginGuard must have checked the length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_streamed(scope):
            await self._app(scope, receive, send)
            return
        try:
            with fail_after(BODY_SECONDS):
                body = await Request(scope, receive).body()
        except TimeoutError:
            response = of_status(408, f"expected the whole body within {BODY_SECONDS:g} seconds, got less")
            await response(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await self._app(scope, replay_body(body, receive), send)


def replay_body(body: bytes, receive: Receive) -> Receive:
    """``receive`` for the application: first ``body``, then the messages that follow."""
    replayed = False

    async def receive_again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _is_cross_site(headers: Headers) -> bool:
    """Whether a browser says that another site sends the request. Other programs say nothing.

    `same-site` counts as another site: all ports of localhost are the same site.
    """
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    return "origin" in headers and not _is_own_origin(headers)


def is_own_page(headers: Headers) -> bool:
    """Whether a browser says that a page of this server sends a request that is not safe."""
    return not _is_cross_site(headers) and (
        headers.get("sec-fetch-site") == "same-origin" or _is_own_origin(headers)
    )


def _is_own_origin(headers: Headers) -> bool:
    try:
        return urlsplit(headers.get("origin", "")).netloc == headers.get("host")
    except ValueError:  # no browser sends such an origin
        return False
