"""The server's side of its hit servers: starts them, takes their connections, and answers their queries."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress

from anyio import to_thread
from msgspec import Struct
from msgspec.structs import replace

from image_processor.delivery.read_path import Delivery
from image_processor.delivery.request import HttpRequest
from image_processor.domain.errors import ImageProcessorError
from image_processor.standalone.remote_originals import OriginalPending
from image_processor.standalone.render_coordinator import MetadataPending

from .acceptor import Acceptor
from .hit_cache import HitCache, StoredHit
from .hit_channel import (
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
from .hit_statistics import HitCounts
from .protocol import HttpProtocol

_MODULE = "image_processor.bootstrap.hit_server"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_DRAIN_SECONDS = 2.0
"""How long a stop waits until the hit servers hand nothing over any more."""

_NOT_INHERITED = ("IMAGE_PROCESSOR_", "AWS_")
"""Prefixes of variables that hit servers do not get: settings, and credentials of remote sources."""

_log = logging.getLogger(__name__)


class HitSource(Struct, frozen=True):
    """What answers the queries of hit servers. ``touch`` marks the rendition with a key as used, and counts
    responses. ``count`` gets what they have counted. ``path_of``: path and query of a target as delivery
    reads them, None if it is not below the renditions."""

    hits: HitCache
    delivery: Delivery
    touch: Callable[[str, int], None]
    path_of: Callable[[bytes], str | None]
    count: Callable[[HitCounts], object] = lambda _: None


class HitServers:
    """``count`` hit servers for ``listener``, which accepts here too. They start with the first hit, because
    each takes memory. One that ends is started again."""

    def __init__(self, count: int, setup: Setup, source: HitSource) -> None:
        self._count = count
        self._setup = setup
        self._source = source
        self._servers: dict[int, _Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, listener: socket.socket, make_protocol: Callable[[], HttpProtocol]) -> None:
        """Accept connections, and start the processes once there is a hit. Call it in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._make_protocol = make_protocol
        self._acceptor = Acceptor(listener, make_protocol)
        self._source.hits.on_first_hit(self.start_processes)

    def start_processes(self) -> None:
        """Start the hit servers. Call it in the event loop, once."""
        for number in range(self._count):
            self._run(self._keep_running(number))

    def forget(self, recipe_number: int) -> None:
        """Notify the hit servers that the recipe with this number is in force. Call it from any thread."""
        self._setup = replace(self._setup, recipe_number=recipe_number)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send_forget, recipe_number)

    async def drain(self) -> None:
        """Accept no more connections, here and in the hit servers, and wait until those have handed over the
        last one."""
        self._is_stopping = True
        self._acceptor.stop()
        for process in self._servers.values():
            process.channel.send(Stop())
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await asyncio.gather(*(process.drained.wait() for process in self._servers.values()))

    async def stop(self, seconds: float) -> None:
        """Wait until the hit servers have sent their last responses; kill them after ``seconds``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(process.ended.wait() for process in self._servers.values()))
        for process in list(self._servers.values()):
            process.end()
        for task in self._tasks:
            task.cancel()

    @property
    def process_ids(self) -> Sequence[int]:
        return [process.id for process in self._servers.values()]

    async def _keep_running(self, number: int) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._is_stopping:
            started = asyncio.get_running_loop().time()
            end = await self._run_one(number)
            if self._is_stopping:
                return
            has_run = asyncio.get_running_loop().time() - started > _LONGEST_PAUSE_SECONDS
            pause = _FIRST_PAUSE_SECONDS if has_run else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            _log.error("a hit server %s; another one starts in %g s", end, pause)
            await asyncio.sleep(pause)

    async def _run_one(self, number: int) -> str:
        """Run a hit server until it ends. Returns how."""
        try:
            process = self._servers[number] = _Process(self._listener, self._receive)
        except OSError as error:
            return f"did not start: {error.strerror}"
        process.channel.send(self._setup)
        await process.ended.wait()
        return f"ended with status {process.end()}"

    def _send_forget(self, recipe_number: int) -> None:
        for process in self._servers.values():
            process.channel.send(Forget(recipe_number))

    def _receive(self, process: _Process, message: Message, descriptor: int | None) -> None:
        if isinstance(message, HandOver) and descriptor is None:
            # The kernel drops a descriptor for which this process has no room (unix(7), SCM_RIGHTS).
            _log.error("a connection of a hit server is lost: expected room for its descriptor, got none")
        elif isinstance(message, HandOver) and descriptor is not None:
            self._take_over(socket.socket(fileno=descriptor), message.data)
        elif isinstance(message, Query):
            self._run(self._reply(process, message))
        elif isinstance(message, Touched):
            for index, key in enumerate(message.keys):
                self._source.touch(key, 0 if index else message.hits)
        elif isinstance(message, Counted):
            self._source.count(message.counts)
        elif isinstance(message, Drained):
            process.drained.set()

    def _take_over(self, connection: socket.socket, data: bytes) -> None:
        def make_protocol() -> HttpProtocol:
            protocol = self._make_protocol()
            protocol.received = data
            return protocol

        self._acceptor.adopt(connection, make_protocol)

    async def _reply(self, process: _Process, query: Query) -> None:
        hit = None
        try:
            hit = await self._find(query)
        except Exception:  # noqa: BLE001 - logged, and the routes answer
            _log.exception("unexpected error on %s %r", query.method, query.target)
        finally:  # without a reply the connection would wait forever
            process.channel.send(Reply(query.number, hit))

    async def _find(self, query: Query) -> StoredHit | None:
        hits = self._source.hits
        hit = hits.find(query.target, query.headers)
        if hit is None:
            hit = await to_thread.run_sync(self._look_up, query)
            if hit is not None:
                hits.add(query.target, hit)
        return hit

    def _look_up(self, query: Query) -> StoredHit | None:
        """The hit if the rendition is stored. Runs in a thread."""
        path = self._source.path_of(query.target)
        if path is None:
            return None
        path, _, text = path.partition("?")
        request = HttpRequest(query.method, path, text, query.headers)
        delivery = self._source.delivery
        try:
            return self._source.hits.hit_of(request, delivery.find(request), delivery)
        except (ImageProcessorError, MetadataPending, OriginalPending):
            return None

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Process:
    """A running hit server and the channel to it."""

    def __init__(
        self, listener: socket.socket, receive: Callable[[_Process, Message, int | None], None]
    ) -> None:
        self.drained, self.ended = asyncio.Event(), asyncio.Event()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptors = (listener.fileno(), theirs.fileno())
        # Hit servers need no settings, and no secrets.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)
        }
        with ExitStack() as failing, theirs:
            failing.enter_context(ours)
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter with a constant program
                [sys.executable, "-P", "-m", _MODULE, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                env=environment,
            )
            failing.pop_all()
        self.id = self._process.pid
        self.channel = Channel(ours, lambda *message: receive(self, *message), self._close)

    def end(self) -> int:
        """Kill the process if it runs. Returns its exit status."""
        self.channel.close()
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._close()
        return self._process.wait()

    def _close(self) -> None:
        self.drained.set()
        self.ended.set()
