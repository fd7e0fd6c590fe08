"""Rules of HTTP/1.1 (RFC 9112) that uvicorn and h11 leave to the application: the forms of a request's
target, and messages of two lengths.

h11 itself refuses different Content-Lengths, transfer codings other than `chunked`, white space before a
colon and a second Host; it joins folded header lines, as the RFC allows.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import of_status

_ABSOLUTE = re.compile(rb"https?://(?P<authority>[^/?#@]+)(?P<path>/.*)?", re.IGNORECASE)
_CLOSE = {"connection": "close"}


class Http11Middleware:
    """Gives ``app`` requests in origin form only, and refuses what proxies may understand in another way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # "Message Body Length" (6.3): such a message may be an attempt at request smuggling.
            expected = "expected Content-Length or Transfer-Encoding, got both"
            await of_status(400, expected, _CLOSE)(scope, receive, send)
            return
        if not scope["raw_path"].startswith(b"/"):
            absolute = _ABSOLUTE.fullmatch(scope["raw_path"])
            if absolute is None:
                expected = "expected a path or an http URL for the request's target"
                await of_status(400, f"{expected}, got another form", _CLOSE)(scope, receive, send)
                return
            scope = _origin_form(scope, absolute["authority"], absolute["path"] or b"/")
        await self._app(scope, receive, send)


def _origin_form(scope: Scope, authority: bytes, path: bytes) -> Scope:
    """The request with ``path`` as its target. Of an absolute target the authority counts, and the header
    Host is ignored ("absolute-form", 3.2.2)."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "raw_path": path,
        "path": unquote(path.decode("ascii")),
        "headers": [(b"host", authority), *headers],
    }
