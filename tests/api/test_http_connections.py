"""Slow and idle clients: they time out, and no number of them keeps others out."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from http_machine import Machine

from image_processor.api import middleware, server, uploads, work
from image_processor.api.uploads import MAX_LAG_SECONDS, MIN_RATE, UploadBody
from image_processor.api.work import MAX_UPLOADS

Address = tuple[str, int]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def connect(address: Address, stack: ExitStack) -> Any:
    def open_connection(sent: bytes = b"") -> socket.socket:
        connection = stack.enter_context(socket.create_connection(address, timeout=20))
        connection.sendall(sent)
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

    def begin(key: str) -> socket.socket:
        connection: socket.socket = connect(head(f"PUT /uploads/{key}", 2) + b"x")
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
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    connection = connect(b"GET /")
    drip_until_response(connection)
    assert is_closed(connection)


def test_the_head_timeout_also_applies_to_the_next_request(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    connection = connect(b"HEAD /recipe HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    connection.recv(65_536)
    drip_until_response(connection)
    assert is_closed(connection)


def test_a_client_may_finish_a_refused_body_before_it_reads_the_response(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.05)
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
    slow = [upload_half(f"slow{number}") for number in range(MAX_UPLOADS)]
    refused = live.put("/uploads/a", content=b"a")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["code"] == "unavailable"
    assert live.get("/health").status_code == 200
    slow[0].sendall(b"y")
    assert status_of(slow[0]) == 201
    assert live.put("/uploads/a", content=b"a").status_code == 201


def test_idle_connections_are_closed_if_there_are_too_many(
    connect: Any, upload_half: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
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
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    in_use = [upload_half(name) for name in "ab"]
    assert is_closed(connect())
    for item in in_use:
        item.sendall(b"y")
        assert status_of(item) == 201
    assert set(machine.ingest.uploads.bodies()) == {"a", "b"}
