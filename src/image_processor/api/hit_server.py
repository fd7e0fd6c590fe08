"""A hit server: a process that accepts connections as the server does, answers hits, and hands every other
connection over to the server.

It knows no recipe, keys or catalog: what answers a URL it asks of the server, once, and remembers it in a
HitCache. A connection whose request is anything but a hit goes to the server, with what was received, and
stays there. So everything else, the parsing of HTTP too, is in one process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import count
from typing import Protocol, cast

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.ports import CachedReads, ObjectStore

from .acceptor import Acceptor
from .connections import SEND_SECONDS, Connection, OpenConnections
from .hit_cache import HitCache, LocalStores, StoredHit
from .hit_channel import (
    MAX_DATA,
    Channel,
    Counted,
    Drained,
    Forget,
    HandOver,
    Message,
    Query,
    Reply,
    Setup,
    Stop,
    Touched,
)
from .hit_log import HitLog, build_hit_log
from .hit_statistics import HitStatistics
from .origin import HostNames
from .plain_request import PlainRequest, identify, parse_plain_request

_TOUCHED_KEYS = 50
_TICK_SECONDS = 1.0


class LocalStore(ObjectStore, CachedReads, Protocol):
    """A store on this machine."""


OpenStore = Callable[[str], LocalStore]
"""Opens the store in a directory."""


async def serve_hits(listener: socket.socket, end: socket.socket, open_store: OpenStore) -> None:
    """Serve hits of ``listener`` until the server at the other end of ``end`` says so, or is gone."""
    server = HitServer(listener, open_store)
    server.channel = Channel(end, server.receive, server.ended.set)
    await server.ended.wait()
    if server.log is not None:
        server.log.flush()


class HitServer:
    """Connections, and what is known about their requests."""

    channel: Channel

    def __init__(self, listener: socket.socket, open_store: OpenStore) -> None:
        self.ended = asyncio.Event()
        self.connections = OpenConnections()
        self.date_line = b""
        self.hits: HitCache
        self.protocols: set[HitProtocol] = set()
        self.is_stopping = False
        self._listener = listener
        self._open_store = open_store
        self._acceptor: Acceptor | None = None
        self._numbers = count()
        self._waiting: dict[int, Callable[[StoredHit | None], None]] = {}
        self._touched: dict[str, None] = {}
        """Keys of renditions that were sent, in the order of their last use."""
        self._hit_count = 0
        self.statistics = HitStatistics()
        self.log: HitLog | None = None
        self._loop = asyncio.get_running_loop()

    def receive(self, message: Message, descriptor: int | None) -> None:
        assert descriptor is None
        if isinstance(message, Setup):
            self._start(message)
        elif isinstance(message, Reply):
            self._waiting.pop(message.number)(message.hit)
        elif isinstance(message, Forget):
            self.hits.forget(message.recipe_number)
        elif isinstance(message, Stop):
            self._stop()

    def ask(self, request: PlainRequest, then: Callable[[StoredHit | None], None]) -> None:
        """Ask the server which hit answers a request."""
        number = next(self._numbers)
        self._waiting[number] = then
        headers = dict(request.headers.by_name)
        self.channel.send(Query(number, request.method, request.target, headers))

    def warm(self, hit: StoredHit) -> None:
        """Read what ``hit`` depends on into the stores' caches. Runs in a thread."""
        try:
            self._stores[1].head(hit.stored.entry.key)
            for key, _ in hit.sources:
                self._stores[0].head(key)
        except ImageProcessorError:
            pass  # it has changed: the server answers

    def forget(self, protocol: HitProtocol) -> None:
        self.protocols.discard(protocol)
        self._end_if_done()

    def _start(self, setup: Setup) -> None:
        self._stores = self._open_store(setup.uploads), self._open_store(setup.processed)
        self.hits = HitCache(
            LocalStores(*self._stores),
            HostNames(setup.host, setup.allowed_hosts).has,
            self._touch,
        )
        self.hits.forget(setup.recipe_number)
        self.log = build_hit_log(setup.log_format)
        self._tick()
        self._acceptor = Acceptor(self._listener, lambda: HitProtocol(self))

    def _touch(self, key: str) -> None:
        self._hit_count += 1
        self._touched.pop(key, None)
        self._touched[key] = None

    def _tick(self) -> None:
        self.date_line = f"date: {formatdate(usegmt=True)}\r\n".encode()
        keys, hits = list(self._touched), self._hit_count
        self._touched.clear()
        self._hit_count = 0
        for start in range(0, len(keys), _TOUCHED_KEYS):
            self.channel.send(Touched(tuple(keys[start : start + _TOUCHED_KEYS]), 0 if start else hits))
        if counts := self.statistics.take():
            self.channel.send(Counted(counts))
        self._loop.call_later(_TICK_SECONDS, self._tick)

    def _stop(self) -> None:
        self.is_stopping = True
        if self._acceptor is not None:
            self._acceptor.stop()
        self._listener.close()
        for protocol in list(self.protocols):
            protocol.close_if_idle()
        self._loop.call_later(SEND_SECONDS, self.ended.set)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self.is_stopping and not any(protocol.is_asking for protocol in self.protocols):
            self.channel.send(Drained())
            if not self.protocols:
                self.ended.set()


_buffer = memoryview(bytearray(MAX_DATA))
"""What the transports read into. A protocol takes its bytes before another one reads."""


class HitProtocol(asyncio.BufferedProtocol):
    """One connection. It is between requests, or waits for the server's reply, or for its client to read."""

    transport: asyncio.Transport

    def __init__(self, server: HitServer) -> None:
        self._server = server
        self._connection: Connection
        self.is_asking = False
        self._is_unread = False
        self._held = b""
        """A request that waits until the response before it has been read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)
        self._connection = self._server.connections.add(self.transport)
        self._server.protocols.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.connections.remove(self.transport)
        self._server.forget(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(_buffer[:nbytes])
        if self._is_unread:
            self._held = data
            self.transport.pause_reading()
        else:
            self._handle(data)

    def pause_writing(self) -> None:
        self._is_unread = True
        self._server.connections.note_unread(self.transport, is_unread=True)

    def resume_writing(self) -> None:
        self._is_unread = False
        self._server.connections.note_unread(self.transport, is_unread=False)
        data, self._held = self._held, b""
        if data:
            self.transport.resume_reading()
            self._handle(data)
        elif self._server.is_stopping:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Close the connection unless it waits for something."""
        if not (self.is_asking or self._is_unread):
            self.transport.close()

    def _handle(self, data: bytes) -> None:
        started = time.perf_counter()
        request = parse_plain_request(data)
        if request is None:
            self._hand_over(data)
        elif not self._respond(request, started):
            self._ask(request, data)

    def _respond(self, request: PlainRequest, started: float) -> bool:
        id_, line = identify(request)
        response = self._server.hits.respond(request, self._server.date_line + line)
        if response is None:
            return False
        self._connection.since = asyncio.get_running_loop().time()
        self.transport.writelines(response)
        seconds = self._server.statistics.add(response, started)
        if self._server.log is not None:
            self._server.log.add(request, response, seconds, self._connection.host, id_)
        if self._server.is_stopping:
            self.close_if_idle()
        return True

    def _ask(self, request: PlainRequest, data: bytes) -> None:
        self.transport.pause_reading()
        self._connection.begin_request(unread_body=False)
        self.is_asking = True
        loop = asyncio.get_running_loop()

        def warm(hit: StoredHit | None) -> None:
            if hit is None:
                finish(None)
                return
            warmed = loop.run_in_executor(None, self._server.warm, hit)
            warmed.add_done_callback(lambda _: finish(hit))

        def finish(hit: StoredHit | None) -> None:
            self.is_asking = False
            self._connection.end_request()
            if hit is not None:
                self._server.hits.add(request.target, hit)
            if self.transport.is_closing():
                return
            if hit is not None and self._respond(request, time.perf_counter()):
                self.transport.resume_reading()
            else:
                self._hand_over(data)

        self._server.ask(request, warm)

    def _hand_over(self, data: bytes) -> None:
        """Give the connection to the server. Here it is only closed, not shut down."""
        descriptor = os.dup(self.transport.get_extra_info("socket").fileno())
        self._server.channel.send(HandOver(data), descriptor)
        self.transport.abort()
