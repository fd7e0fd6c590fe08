"""uvicorn's HTTP protocol: reports its connections to the limiter and answers hits before h11 parses them."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .connections import Connection, ConnectionLimiter
from .hit_cache import HitCache
from .hit_log import HitLog
from .hit_statistics import HitStatistics
from .plain_request import identify, parse_plain_request


class HttpProtocol(H11Protocol):
    """One connection. `protocol_class` sets the limiter and the hits of all connections of a server."""

    limiter: ClassVar[ConnectionLimiter]
    hits: ClassVar[HitCache | None]
    statistics: ClassVar[HitStatistics]
    hit_log: ClassVar[HitLog | None]
    received = b""
    """What another process has received of the first request."""

    _connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._connection = self.limiter.add(transport)
        if self.received:
            self.data_received(self.received)

    def connection_lost(self, exc: Exception | None) -> None:
        self.limiter.remove(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._answered(data):
            super().data_received(data)

    def timeout_keep_alive_handler(self) -> None:
        left = self._connection.since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            super().timeout_keep_alive_handler()
        else:  # there was a hit in the meantime
            self._close_when_idle(left)

    def pause_writing(self) -> None:
        self.limiter.note_unread(self.transport, is_unread=True)
        super().pause_writing()

    def resume_writing(self) -> None:
        self.limiter.note_unread(self.transport, is_unread=False)
        super().resume_writing()

    def _answered(self, data: bytes) -> bool:
        """Whether ``data`` is a request that was answered here."""
        if self.hits is None or not self._is_between_requests():
            return False
        started = time.perf_counter()
        request = parse_plain_request(data)
        if request is None:
            return False
        id_, line = identify(request)
        response = self.hits.respond(request, self._server_headers() + line)
        if response is None:
            return False
        self.transport.writelines(response)
        seconds = self.statistics.add(response, started)
        if self.hit_log is not None:
            self.hit_log.add(request, response, seconds, self._connection.host, id_)
        self._connection.since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_when_idle(self.timeout_keep_alive)
        return True

    def _is_between_requests(self) -> bool:
        """Whether what arrives now begins a request, and may be answered at once."""
        conn, flow = self.conn, self.flow
        return (
            (self.cycle is None or self.cycle.response_complete)
            and conn.our_state is h11.IDLE
            and conn.their_state is h11.IDLE
            and not conn.trailing_data[0]
            and not (flow.write_paused or flow.read_paused or self.transport.is_closing())
        )

    def _close_when_idle(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _server_headers(self) -> bytes:
        return b"".join(b"%b: %b\r\n" % pair for pair in self.server_state.default_headers)


def protocol_class(
    limiter: ConnectionLimiter, hits: HitCache | None, statistics: HitStatistics, hit_log: HitLog | None
) -> type[HttpProtocol]:
    """The protocol of one server's connections."""
    members = {"limiter": limiter, "hits": hits, "statistics": statistics, "hit_log": hit_log}
    return type("ServerProtocol", (HttpProtocol,), members)
