"""The HTTP server of one machine: uvicorn, limits on connections, and a graceful stop.

uvicorn (0.54) has no timeout for the head of a request, and its `limit_concurrency` counts idle
connections: once there are as many, every request gets a 503, `/health` included. docs/adr/0017 compares
other servers.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from image_processor.config.settings import Settings

from .work import STOP_RENDER_SECONDS, QueuedWork

MAX_CONNECTIONS = 400
"""Open connections. Each may also have a file open, and most systems give a process 1024 descriptors."""

HEAD_SECONDS = 10.0
"""The longest time that a connection may be open without a complete request head."""

DRAIN_SECONDS = 300.0
"""The longest time that a client may go on sending a body after its response: many clients, browsers
among them, read the response only after that."""

GRACE_SECONDS = int(STOP_RENDER_SECONDS) + 2
"""How long requests in progress (uploads, downloads) may continue after a stop was requested. uvicorn answers
500 to those that wait longer."""


class Server(uvicorn.Server):
    """Serves the application of `standalone_app`.

    uvicorn waits for open responses before it stops the application, but an event stream ends only when
    it is told to: `shutdown` ends those first.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._work: QueuedWork = app.state.work
        limiter = ConnectionLimiter(app)
        super().__init__(
            uvicorn.Config(
                limiter,
                host=settings.host,
                port=settings.port,
                http=limiter.protocol_class(),
                # asyncio accepts as many connections at once, before one can be closed.
                backlog=MAX_CONNECTIONS // 4,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._work.stop()
        await super().shutdown(sockets)


class ConnectionLimiter:
    """Closes connections that wait too long for a request, and limits their number.

    Above MAX_CONNECTIONS, the connection that has waited longest is closed; a new one is closed only if
    all others have a request in progress. It does not limit how slowly a client reads a response: that
    holds a connection, but no thread.

    It learns of connections as the base of uvicorn's protocol class, and of requests as middleware
    around ``app``. The address of the client links the two.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._connections: dict[tuple[str, int], Connection] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = self._connections.get(scope["client"]) if scope["type"] == "http" else None
        if connection is None:
            await self._app(scope, receive, send)
            return

        async def receive_and_note() -> Message:
            message = await receive()
            if not message.get("more_body", False):
                connection.unread_body = False
            return message

        connection.begin_request(unread_body=_has_body(scope))
        try:
            await self._app(scope, receive_and_note, send)
        finally:
            connection.end_request()

    def protocol_class(self) -> type[asyncio.Protocol]:
        """uvicorn's protocol, which reports its connections to this limiter."""
        limiter = self

        class LimitedProtocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
                super().connection_made(transport)
                limiter.add(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                limiter.remove(self.transport)
                super().connection_lost(exc)

        return LimitedProtocol

    def add(self, transport: asyncio.Transport) -> None:
        """Watch a new connection, and close another one if there are too many."""
        self._connections[_address(transport)] = Connection(transport)
        if len(self._connections) > MAX_CONNECTIONS:
            self._evict()

    def remove(self, transport: asyncio.Transport) -> None:
        """Forget a connection that is closed."""
        address = _address(transport)
        connection = self._connections.get(address)
        if connection is not None and connection.transport is transport:  # not a later one of that address
            connection.timer.cancel()
            del self._connections[address]

    def _evict(self) -> None:
        waiting = [connection for connection in self._connections.values() if not connection.requests]
        longest = min(waiting, key=lambda connection: connection.waiting_since)
        self.remove(longest.transport)
        longest.transport.abort()


class Connection:
    """An open connection, and how long it has waited for a request."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.requests = 0
        self.unread_body = False
        self._loop = asyncio.get_running_loop()
        self.waiting_since = self._loop.time()
        self.timer = self._loop.call_later(HEAD_SECONDS, self._check)

    def begin_request(self, *, unread_body: bool) -> None:
        """Note a request, and whether it has a body that the application has not read."""
        self.requests += 1
        self.unread_body = unread_body

    def end_request(self) -> None:
        """Note that the response is complete."""
        self.requests -= 1
        self.waiting_since = self._loop.time()

    def _check(self) -> None:
        """Close the connection if its time is over, else check again when it may be."""
        seconds = DRAIN_SECONDS if self.unread_body else HEAD_SECONDS
        left = seconds if self.requests else self.waiting_since + seconds - self._loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self.timer = self._loop.call_later(left, self._check)


def _address(transport: asyncio.Transport) -> tuple[str, int]:
    """The address of the client, as uvicorn puts it into the scope."""
    host, port, *_ = transport.get_extra_info("peername")
    return host, port


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
