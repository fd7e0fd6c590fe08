"""HTTP edge of one machine: connections that ask for nothing do not keep others out.

uvicorn (0.54) knows no deadline for a request's head, and its `limit_concurrency` counts idle
connections too: once there are as many, everybody gets a 503, `/health` included.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 400
"""Connections at the same time. Each may have a file open besides, and most systems give a process
1024 descriptors."""

HEAD_SECONDS = 10.0
"""How long a connection may be open without the head of a request."""


class Connection(H11Protocol):
    """uvicorn's protocol with both limits. If there are too many connections, the one that has
    been without a request the longest is closed: a newcomer, only where all others are at work.

    Not limited is how slowly a client reads its answer: that holds a connection, but no thread.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def on_response_complete(self) -> None:
        self._timer.cancel()
        self._await_head()
        super().on_response_complete()  # goes on with the next request at once if it is there

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._idle_since = self.loop.time()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._check_head)

    def _check_head(self) -> None:
        if not self._idle:
            return
        if self.conn.their_state is not self.conn.our_state:
            # We are done and they still send: a refusal goes out before the rest of the body is
            # in, and many clients, browsers among them, read it only after that. They may take
            # their time, but are first to go.
            self._timer = self.loop.call_later(HEAD_SECONDS, self._check_head)
            return
        self.transport.close()

    def _make_room(self) -> None:
        idle = [each for each in self.connections if isinstance(each, Connection) and each._idle]  # noqa: SLF001 - its own kind
        longest = min(idle, key=lambda each: each._idle_since)  # noqa: SLF001 - as above
        self.connections.discard(longest)  # now, since others may come before it has gone
        longest.transport.abort()
