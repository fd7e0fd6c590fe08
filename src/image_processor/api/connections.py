"""Limits on the connections of the HTTP server: their number, and how long each waits for its client.

uvicorn (0.54) has no timeout for the head of a request nor for a client that does not read, and its
`limit_concurrency` counts idle connections: once there are as many, every request gets a 503, `/health`
included. docs/adr/0017 compares other servers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_CONNECTIONS = 400
"""Open connections. Each may also have a file open, and a process may have no more than 1,024 descriptors
(`standalone.open_files`)."""

MAX_REQUESTS = 360
"""Requests in progress. The other connections are for `/health`, and for a quick 503."""

HEAD_SECONDS = 10.0
"""The longest time that a connection may be open without a complete request head."""

DRAIN_SECONDS = 300.0
"""The longest time that a client may go on sending a body after its response: many clients, browsers
among them, read the response only after that."""

SEND_SECONDS = 60.0
"""The longest time that a client may take to read what the server has written. As that is at most 256 KiB, it
must read 4 kB a second."""

EVENTS_PATH = "/events"
HEALTH_PATH = "/health"


class OpenConnections:
    """Closes connections that wait too long for their client, and limits their number.

    Above MAX_CONNECTIONS, one that waits for its client is closed. The first choice is the one that has
    waited longest without a request, then the oldest event stream, then the response that has not been read
    for longest, then the oldest request that waits for a stranger's body. The new connection is closed only
    if all others have work in progress.
    """

    def __init__(self) -> None:
        self._connections: dict[tuple[str, int], Connection] = {}

    def add(self, transport: asyncio.Transport) -> Connection:
        """Watch a new connection, and close one if there are too many."""
        connection = self._connections[_address(transport)] = Connection(transport)
        if len(self._connections) > MAX_CONNECTIONS:
            self._evict(connection)
        return connection

    def remove(self, transport: asyncio.Transport) -> None:
        """Forget a connection that is closed."""
        connection = self._connection(transport)
        if connection is not None:
            connection.stop_timers()
            del self._connections[_address(transport)]

    def note_unread(self, transport: asyncio.Transport, *, is_unread: bool) -> None:
        """Note whether the client leaves more unread than the server holds for it."""
        connection = self._connection(transport)
        if connection is not None:
            connection.set_unread(is_unread=is_unread)

    def _connection(self, transport: asyncio.Transport) -> Connection | None:
        """The connection of ``transport``, and not a later one of the same address."""
        connection = self._connections.get(_address(transport))
        return connection if connection is not None and connection.transport is transport else None

    def _evict(self, new: Connection) -> None:
        others = (connection for connection in self._connections.values() if connection is not new)
        ranked = [(rank, other) for other in others if (rank := other.rank()) is not None]
        self._abort(min(ranked, key=lambda pair: pair[0])[1] if ranked else new)

    def _abort(self, connection: Connection) -> None:
        self.remove(connection.transport)
        connection.transport.abort()


class ConnectionLimiter(OpenConnections):
    """The connections of a server, and limits on what they ask for, as middleware around ``app``.

    There are at most ``streams`` event streams, and ``streams_per_client`` of one address. A new one replaces
    the oldest, whose client connects again and misses nothing. Above MAX_REQUESTS, a new request takes the
    place of another one. The first choice is one that waits for the body of a stranger (``is_stranger`` of
    its scope), because anybody may begin such bodies. The second is one that waits for its client
    (``client_of`` its scope), if that client has more of them than the client of the new request: a slow
    address keeps no other out. Without either, ``overloaded`` makes the response of a message.

    It learns of connections from `protocol.HttpProtocol`, and of requests as middleware. The address of the
    client links the two.
    """

    def __init__(
        self,
        app: ASGIApp,
        overloaded: Callable[[str], ASGIApp],
        *,
        streams: int,
        streams_per_client: int,
        is_stranger: Callable[[Scope], bool] = lambda _: False,
        client_of: Callable[[Scope], str] = lambda scope: str(scope["client"][0]),
    ) -> None:
        super().__init__()
        self._app = app
        self._overloaded = overloaded
        self._streams = streams
        self._streams_per_client = streams_per_client
        self._is_stranger = is_stranger
        self._client_of = client_of
        self._running: dict[object, tuple[Connection, str]] = {}
        """The connection and the client of each request in progress."""

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

        async def send_and_note(message: Message) -> None:
            # Not before: a stranger's request, which is refused, must not close the streams of others.
            if message.get("status") == 200 and scope["path"] == EVENTS_PATH:
                self._make_room_for_stream(connection)
                connection.is_stream = True
            await send(message)

        app = self._app if self._make_room(scope) else self._overload()
        connection.begin_request(unread_body=_has_body(scope), gives_way=partial(self._is_stranger, scope))
        request = object()
        self._running[request] = connection, self._client_of(scope)
        try:
            await app(scope, receive_and_note, send_and_note)
        finally:
            self._running.pop(request, None)
            connection.end_request()

    def _make_room(self, scope: Scope) -> bool:
        """Whether there is room for the request, if need be in place of another one that waits for its
        client."""
        if len(self._running) < MAX_REQUESTS or scope["path"] == HEALTH_PATH:
            return True
        slow = self._of_strangers() or self._of_busiest(self._client_of(scope))
        if not slow:
            return False
        oldest = min(slow, key=lambda request: self._running[request][0].since)
        connection, _ = self._running.pop(oldest)
        self._abort(connection)
        return True

    def _of_strangers(self) -> list[object]:
        """The requests that wait for bodies of strangers."""
        return [request for request, (item, _) in self._running.items() if item.waits_for_stranger()]

    def _of_busiest(self, newcomer: str) -> list[object]:
        """The requests that wait for the client with most of them; none if ``newcomer`` had as many then."""
        waiting = {request: client for request, (item, client) in self._running.items() if item.waits()}
        counts = Counter(waiting.values())
        busiest, count = next(iter(counts.most_common(1)), ("", 0))
        if count <= sum(client == newcomer for _, client in self._running.values()) + 1:
            return []
        return [request for request, client in waiting.items() if client == busiest]

    def _overload(self) -> ASGIApp:
        return self._overloaded(f"expected at most {MAX_REQUESTS} requests at the same time, got more")

    def _make_room_for_stream(self, new: Connection) -> None:
        """Close the oldest event stream of the client of ``new``, or of all, if there are too many."""
        streams = [connection for connection in self._connections.values() if connection.is_stream]
        of_client = [connection for connection in streams if connection.host == new.host]
        for group, limit in ((of_client, self._streams_per_client), (streams, self._streams)):
            if len(group) >= limit:
                self._abort(min(group, key=lambda connection: connection.since))
                return


class Connection:
    """An open connection, and since when it has waited for its client."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.host, _ = _address(transport)
        self.requests = 0
        self.unread_body = False
        self._gives_way: Callable[[], bool] = lambda: False
        self.is_stream = False
        """Whether the response is an event stream."""
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        """The end of the last request, or the start of the one that is running."""
        self._unread_since: float | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._timer = self._loop.call_later(HEAD_SECONDS, self._check)

    def begin_request(self, *, unread_body: bool, gives_way: Callable[[], bool] = lambda: False) -> None:
        """Note a request, whether it has a body that the application has not read, and what says whether it
        is a stranger's."""
        self.requests += 1
        self.unread_body = unread_body
        self._gives_way = gives_way
        self.since = self._loop.time()

    def end_request(self) -> None:
        """Note that the response is complete."""
        self.requests -= 1
        self.is_stream = False
        self.since = self._loop.time()

    def set_unread(self, *, is_unread: bool) -> None:
        """Note whether the client leaves unread what the server has written. It has SEND_SECONDS for it."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        self._unread_since = self._loop.time() if is_unread else None
        self._unread_timer = self._loop.call_later(SEND_SECONDS, self.transport.abort) if is_unread else None

    def waits_for_stranger(self) -> bool:
        """Whether its request waits for a body that anybody may begin to send."""
        return self.requests > 0 and self.unread_body and self._gives_way()

    def waits(self) -> bool:
        """Whether its request waits for its client: for the body, or until the response is read."""
        return self.requests > 0 and (self.unread_body or self.is_stream or self._unread_since is not None)

    def rank(self) -> tuple[int, float] | None:
        """How much is lost if the connection is closed: the least first. None while it waits for the
        server."""
        if not self.requests:
            return 0, self.since
        if self.is_stream:
            return 1, self.since
        if self._unread_since is not None:
            return 2, self._unread_since
        return (3, self.since) if self.waits_for_stranger() else None

    def stop_timers(self) -> None:
        """End the watch."""
        self._timer.cancel()
        if self._unread_timer is not None:
            self._unread_timer.cancel()

    def _check(self) -> None:
        """Close the connection if its time is over, else check again when it may be."""
        has_unsent = self.transport.get_write_buffer_size() > 0
        seconds = DRAIN_SECONDS if self.unread_body else HEAD_SECONDS
        if has_unsent and not self.requests:
            seconds = max(seconds, SEND_SECONDS)
        left = seconds if self.requests else self.since + seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        elif has_unsent:  # close() would wait for the client to read it
            self.transport.abort()
        else:
            self.transport.close()


def _address(transport: asyncio.Transport) -> tuple[str, int]:
    """The address of the client, as uvicorn puts it into the scope."""
    # A client that is gone already has no address.
    host, port, *_ = transport.get_extra_info("peername") or ("", id(transport))
    return host, port


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
