"""Slow and idle clients: they time out, and no number of them keeps others out."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from http_machine import Machine
from msgspec.structs import replace

from image_processor.api import connections, middleware, uploads, work
from image_processor.api.connections import Connection
from image_processor.api.uploads import MAX_LAG_SECONDS, MIN_RATE, UploadBody
from image_processor.api.work import MAX_UPLOADS
from image_processor.domain.ports import Attributes
from image_processor.standalone.progress import Event, EventType
from support.waiting import wait_for

Address = tuple[str, int]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def connect(address: Address, stack: ExitStack) -> Any:
    def open_connection(sent: bytes = b"", host: str = "127.0.0.1") -> socket.socket:
        connection = socket.create_connection(address, timeout=20, source_address=(host, 0))
        stack.enter_context(connection).sendall(sent)
        return connection

    return open_connection


@pytest.fixture
def upload_half(machine: Machine, connect: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Start an upload of two bytes that has its slot, and send one of them."""
    started = threading.Semaphore(0)
    put_stream = machine.ingest.uploads.put_stream

    def signal_start(*rest: Any, **kwargs: Any) -> Any:
        started.release()
        return put_stream(*rest, **kwargs)

    def begin(key: str, host: str = "127.0.0.1") -> socket.socket:
        connection: socket.socket = connect(head(f"PUT /uploads/{key}", 2) + b"x", host)
        assert started.acquire(timeout=20)
        return connection

    monkeypatch.setattr(machine.ingest.uploads, "put_stream", signal_start)
    return begin


def head(request: str, length: int) -> bytes:
    return f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def status_of(connection: socket.socket) -> int:
    return int(connection.makefile("rb").readline().split()[1])


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of the connection; whether it ends without a response."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def drip_until_response(connection: socket.socket) -> None:
    """Send a byte every 20 ms until the server responds or closes the connection."""
    for _ in range(400):
        if select.select([connection], [], [], 0.02)[0]:
            return
        connection.sendall(b"x")
    pytest.fail("the server still reads")


def test_an_upload_sent_byte_by_byte_times_out(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_LAG_SECONDS", 0.5)
    connection = connect(head("PUT /uploads/a", 1000))
    drip_until_response(connection)
    assert status_of(connection) == 408


def test_a_small_body_sent_byte_by_byte_times_out(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_SECONDS", 0.5)
    connection = connect(head("POST /images", 1000))
    drip_until_response(connection)
    assert status_of(connection) == 408


def test_a_head_sent_byte_by_byte_times_out(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    connection = connect(b"GET /")
    drip_until_response(connection)
    assert is_closed(connection)


def test_the_head_timeout_also_applies_to_the_next_request(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    connection = connect(b"HEAD /recipe HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    connection.recv(65_536)
    drip_until_response(connection)
    assert is_closed(connection)


def test_a_client_may_finish_a_refused_body_before_it_reads_the_response(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    connection = connect(head("PUT /uploads/..", 11))
    for _ in range(10):
        select.select([], [], [], 0.02)
        connection.sendall(b"x")
    connection.sendall(b"!GET /recipe HTTP/1.1\r\nHost: localhost\r\n\r\n")
    responses = b""
    while b'"presets"' not in responses:
        kwargs = connection.recv(65_536)
        assert kwargs, "closed before the rest was in"
        responses += kwargs
    assert responses.startswith(b"HTTP/1.1 400")


class Clock:
    """A clock that advances only when a chunk arrives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(uploads, "current_time", lambda: self.now)

    def seconds_left(self, *steps: tuple[float, int]) -> float:
        """The seconds left after ``steps`` of (seconds waited, bytes received)."""

        async def chunks() -> AsyncIterator[bytes]:
            for seconds, size in steps:
                self.now += seconds
                yield b"x" * size

        async def read() -> float:
            body = UploadBody(chunks())
            for _ in steps:
                await body.next()
            return body._seconds_left

        return asyncio.run(read())


def test_a_client_at_the_minimum_rate_never_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).seconds_left(*[(5.0, 5 * MIN_RATE)] * 50) == MAX_LAG_SECONDS


def test_lost_time_adds_up_and_can_be_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert clock.seconds_left((10.0, 1), (10.0, 1)) == pytest.approx(MAX_LAG_SECONDS - 20, abs=0.01)
    assert clock.seconds_left((20.0, MIN_RATE), (1.0, 11 * MIN_RATE)) == pytest.approx(MAX_LAG_SECONDS - 9)


def test_sending_fast_earns_no_extra_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clock(monkeypatch).seconds_left((0.1, 1000 * MIN_RATE)) == MAX_LAG_SECONDS


def test_slow_uploads_in_every_slot_do_not_block_others_for_long(
    upload_half: Any, live: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "UPLOAD_SLOT_SECONDS", 0.1)
    hosts = [f"127.0.0.{number}" for number in range(1, MAX_UPLOADS + 1)]
    slow = [upload_half(f"slow{number}", host) for number, host in enumerate(hosts)]
    refused = live.put("/uploads/a", content=b"a")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["code"] == "overloaded"
    assert live.get("/health").status_code == 200
    slow[0].sendall(b"y")
    assert status_of(slow[0]) == 201
    assert live.put("/uploads/a", content=b"a").status_code == 201


def test_idle_connections_are_closed_if_there_are_too_many(
    connect: Any, upload_half: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    busy = upload_half("a")
    idle = [connect() for _ in range(8)]
    assert all(map(is_closed, idle[:5]))
    healthy = connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(healthy) == 200
    busy.sendall(b"y")
    assert status_of(busy) == 201


def test_a_new_connection_is_closed_if_all_others_are_in_use(
    connect: Any, upload_half: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    in_use = [upload_half(name) for name in "ab"]
    assert is_closed(connect())
    for item in in_use:
        item.sendall(b"y")
        assert status_of(item) == 201
    assert set(machine.ingest.uploads.bodies()) == {"a", "b"}


EVENTS = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def follow(connect: Any) -> Any:
    """Open an event stream from an address, and read until its first event."""

    def open_stream(host: str = "127.0.0.1") -> socket.socket:
        connection: socket.socket = connect(EVENTS, host)
        received = b""
        while b"ready" not in received:
            received += connection.recv(65_536)
        return connection

    return open_stream


def has_ended(connection: socket.socket) -> bool:
    """Wait for the end of a stream; False where nothing comes for a while."""
    while select.select([connection], [], [], 0.5)[0]:
        try:
            if not connection.recv(65_536):
                return True
        except ConnectionResetError:
            return True
    return False


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({"event_streams_per_client": 2}, ["127.0.0.1"] * 5),
        ({"event_streams": 2}, [f"127.0.0.{number}" for number in range(1, 6)]),
    ],
    ids=["per client", "in total"],
)
def test_a_new_event_stream_replaces_the_oldest_above_the_limit(
    settings: dict[str, int], hosts: list[str], machine: Machine, request: pytest.FixtureRequest
) -> None:
    machine.settings = replace(machine.settings, **settings)
    follow = request.getfixturevalue("follow")
    streams = [follow(host) for host in hosts]
    assert [has_ended(stream) for stream in streams] == [True, True, True, False, False]
    machine.progress.publish(Event(EventType.QUEUED, "id", "key"))
    assert b"queued" in streams[-1].recv(65_536)


def test_the_streams_of_one_client_leave_those_of_others_alone(
    machine: Machine, request: pytest.FixtureRequest
) -> None:
    machine.settings = replace(machine.settings, event_streams_per_client=2)
    follow = request.getfixturevalue("follow")
    other = follow("127.0.0.2")
    streams = [follow() for _ in range(4)]
    assert [has_ended(stream) for stream in (other, *streams)] == [False, True, True, False, False]


def test_event_streams_do_not_lock_others_out(
    follow: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if there may be more of them than connections."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    streams = [follow(f"127.0.0.{number}") for number in range(1, 9)]
    healthy = connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(healthy) == 200
    assert [has_ended(stream) for stream in streams] == [True] * 5 + [False] * 3


def test_an_event_stream_that_is_not_read_holds_little_and_ends(
    follow: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", 1)
    follow()
    (protocol,) = machine.server.server_state.connections

    def is_full() -> bool:
        for _ in range(100):
            machine.progress.publish(Event(EventType.QUEUED, "id", "k" * 10_000))
        return bool(protocol.flow.write_paused)

    wait_for(is_full, "full sockets")
    assert protocol.transport.get_write_buffer_size() <= 128 * 1024
    wait_for(lambda: not machine.server.server_state.connections, "the end of the stream")


def test_health_is_answered_when_all_requests_are_in_use(
    connect: Any, upload_half: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_REQUESTS", 2)
    busy = [upload_half(name) for name in "ab"]
    assert status_of(connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200
    assert status_of(connect(b"GET /images HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 503
    busy[0].sendall(b"y")
    assert status_of(busy[0]) == 201
    assert status_of(connect(b"GET /images HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200


LARGE = 32 * 1024 * 1024
"""Bytes of a response: more than the kernel holds for two sockets."""


@pytest.fixture
def read_slowly(machine: Machine, connect: Any) -> Any:
    """Request a large rendition, and read its first bytes only."""
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", bytes(LARGE), Attributes("image/webp"))

    def request() -> socket.socket:
        connection: socket.socket = connect(
            b"GET /renditions/cat.jpg/w=10,fm=webp.webp HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        return connection

    return request


def test_a_client_that_does_not_read_is_disconnected(
    read_slowly: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.5)
    connection = read_slowly()
    threading.Event().wait(2)
    received = 0
    with suppress(ConnectionResetError):
        while chunk := connection.recv(1024 * 1024):
            received += len(chunk)
    assert received < LARGE


def test_the_server_holds_little_for_clients_that_do_not_read(read_slowly: Any, machine: Machine) -> None:
    connections_of = machine.server.server_state.connections
    clients = [read_slowly() for _ in range(4)]
    wait_for(lambda: sum(protocol.flow.write_paused for protocol in connections_of) == 4, "full sockets")
    transports = [protocol.transport for protocol in connections_of]
    assert max(transport.get_write_buffer_size() for transport in transports) <= 320 * 1024
    assert len(clients) == 4


def test_a_response_that_is_not_read_makes_room(
    read_slowly: Any, machine: Machine, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    slow = [read_slowly() for _ in range(2)]
    protocols = machine.server.server_state.connections
    wait_for(lambda: sum(protocol.flow.write_paused for protocol in protocols) == 2, "full sockets")
    assert status_of(connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 200
    assert len(slow) == 2


def test_a_client_that_leaves_the_end_of_a_response_unread_is_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fits into the server's buffer does not pause the response, which is complete for the server."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.05)

    class Unread:
        aborted = False

        def get_extra_info(self, _name: str) -> Address:
            return "127.0.0.1", 1

        def get_write_buffer_size(self) -> int:
            return 10

        def abort(self) -> None:
            self.aborted = True

    async def wait() -> bool:
        transport: Any = Unread()
        Connection(transport)
        await asyncio.sleep(0.5)
        return bool(transport.aborted)

    assert asyncio.run(wait())
