"""HTTP edge: the ASGI middleware around everything. It gives each answer its protective headers, and
turns an unexpected exception into a plain 500.
"""

from __future__ import annotations

import logging

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import of_status

_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    # Ask each time: records change, and an update of the page must show at once.
    "cache-control": "no-cache",
}
_log = logging.getLogger(__name__)


class Edge:
    """The middleware. Headers that an answer already has are left as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                # What a 304 says replaces what the client has kept (RFC 9111, 3.2).
                if message["status"] != 304:
                    headers = MutableHeaders(scope=message)
                    for name, value in _HEADERS.items():
                        headers.setdefault(name, value)
            await send(message)

        try:
            app = self._refusal(scope) or self._app
            await app(scope, receive, send_guarded)
        except Exception:
            if started:  # too late to say anything but to break the connection
                raise
            _log.exception("unexpected error on %s %s", scope["method"], scope["path"])
            await of_status(500)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:  # noqa: ARG002 - it refuses nobody
        """The answer to a request that goes no further, None for all others."""
        return None
