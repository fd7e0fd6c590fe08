"""HTTP edge of one machine: the middleware that takes in a small body whole before a route begins,
so that a client which sends it byte by byte is given up. Uploads have a rule of their own.
"""

from __future__ import annotations

from anyio import fail_after
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import of_status

BODY_SECONDS = 30.0
"""The longest time that a body of at most MAX_BODY_BYTES may take, on the poorest connection."""


class SmallBodies:
    """The middleware. It trusts that somebody outside has looked at the body's length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "PUT":
            await self._app(scope, receive, send)
            return
        try:
            with fail_after(BODY_SECONDS):
                body = await Request(scope, receive).body()
        except TimeoutError:
            late = of_status(408, f"expected the whole body within {BODY_SECONDS:g} seconds, got less")
            await late(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is there to read an answer
        else:
            await self._app(scope, _again(body, receive), send)


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` for the application, which begins with the body."""
    begun = False

    async def received() -> Message:
        nonlocal begun
        if begun:
            return await receive()
        begun = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received
