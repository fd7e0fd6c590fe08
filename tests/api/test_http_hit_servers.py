"""Connections that a hit server accepts: hits stay with it, everything else is as without it.

The hit server runs in a thread here, not in a process, so that tests can change its timeouts.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
import test_http_hits as hit_tests
from http_machine import Machine
from test_http_hits import STORED, TARGETS, body_of, receive, send, status
from test_http_messages import AMBIGUOUS, FOLLOWING, exchange

from image_processor.api import connections, hit_servers
from image_processor.api.hit_cache import HitCache
from image_processor.api.hit_channel import HandOver, Setup
from image_processor.api.hit_server import HitProtocol, serve_hits
from image_processor.api.hit_servers import HitServers, HitSource
from image_processor.api.renditions import path_below_root
from image_processor.domain.ports import Attributes
from support.waiting import wait_for

Address = tuple[str, int]

# The same tests, through a hit server.
_originals = hit_tests._originals
answered = hit_tests.answered
get = hit_tests.get
test_a_new_overlay_image_ends_a_hit = hit_tests.test_a_new_overlay_image_ends_a_hit
test_a_deleted_original_ends_a_hit = hit_tests.test_an_original_that_was_deleted_ends_a_hit
test_a_replaced_rendition = (
    hit_tests.test_a_rendition_that_was_replaced_or_deleted_is_never_answered_from_memory
)
test_another_recipe = hit_tests.test_another_recipe_ends_every_hit
test_formats = hit_tests.test_clients_with_other_formats_get_other_renditions
test_pieces = hit_tests.test_requests_in_pieces_and_pipelined_are_answered_in_order


class ThreadProcess:
    """In place of subprocess.Popen: a hit server in a thread."""

    pid = 0
    stores: Any
    started: list[ThreadProcess]

    def __init__(self, _command: Any, *, pass_fds: tuple[int, int], **_: Any) -> None:
        self._sockets = [socket.socket(fileno=os.dup(number)) for number in pass_fds]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.started.append(self)

    def _run(self) -> None:
        listener, end = self._sockets
        asyncio.run(serve_hits(listener, end, lambda path: self.stores[path]))
        listener.close()
        end.close()

    def send_signal(self, _number: int) -> None:
        """The closed channel ends the thread."""

    def wait(self) -> int:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return 0


class OnlyHitServers(HitServers):
    """Hit servers without a server that accepts connections too."""

    def start(self, *args: Any) -> None:
        super().start(*args)
        self._source.hits.on_first_hit(lambda: None)
        self.start_processes()
        self._acceptor.stop()


@pytest.fixture
def build_hit_servers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], HitServers]:
    def build(machine: Machine) -> HitServers:
        stores = {"uploads": machine.ingest.uploads, "processed": machine.ingest.processed}
        process = type("Process", (ThreadProcess,), {"stores": stores, "started": []})
        monkeypatch.setattr(hit_servers.subprocess, "Popen", process)
        machine.hit_server_processes = process.started
        context: Any = machine.application.state.context
        touch = context.render_coordinator.touch
        source = HitSource(
            machine.application.state.hits,
            context.delivery,
            touch,
            path_below_root,
            machine.metrics.count_hits,
        )
        return OnlyHitServers(1, Setup("uploads", "processed", machine.settings.host, ()), source)

    return build


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the hit server hands over."""
    data: list[bytes] = []
    hand_over = HitProtocol._hand_over

    def noting(self: HitProtocol, received: bytes) -> None:
        data.append(received)
        hand_over(self, received)

    monkeypatch.setattr(HitProtocol, "_hand_over", noting)
    return data


def test_stored_renditions_stay_with_the_hit_server(
    get: Any, handed_over: list[bytes], answered: list[bytes]
) -> None:
    responses = {get(STORED) for _ in range(5)}
    assert len(responses) == 1
    assert (handed_over, len(answered)) == ([], 5)


def test_its_hits_are_counted_by_the_server(get: Any, machine: Machine) -> None:
    for _ in range(5):
        assert status(get(STORED)) == 200
    wait_for(lambda: machine.metrics.hits.statuses == {"200": 5}, "what the hit server has counted")
    assert sum(machine.metrics.hits.buckets) == 5
    assert machine.metrics.hits.bytes == 5 * len(body_of(get(STORED)))


def test_responses_of_a_hit_server_are_counted(machine: Machine, get: Any, handed_over: list[bytes]) -> None:
    def hits() -> float:
        return sum(machine.activity.last_hour().counts.get("hits", ()))

    for _ in range(7):
        assert status(get(STORED)) == 200
    assert handed_over == []
    wait_for(lambda: hits() == 7, "the count of responses")


def test_anything_else_is_handed_over_once_and_stays(get: Any, handed_over: list[bytes]) -> None:
    assert status(get(STORED)) == 200
    assert status(get("/recipe")) == 200
    assert status(get(STORED)) == 200
    assert status(get("/images/none")) == 404
    assert len(handed_over) == 1


def test_a_foreign_host_is_refused(get: Any) -> None:
    assert status(get(STORED)) == 200
    assert status(get(STORED, host="elsewhere.example")) == 421


def test_an_unexpected_error_is_a_500_as_without_a_hit_server(
    get: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(HitCache, "hit_of", fail)
    assert status(get(STORED)) == 500


def test_ambiguous_requests_are_400_and_close_the_connection(address: Address) -> None:
    for name, request in AMBIGUOUS.items():
        statuses, received = exchange(address, request + FOLLOWING)
        assert statuses == [400], name
        assert b"connection: close" in received.lower(), name


def test_a_head_sent_byte_by_byte_times_out(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(b"GET /")
        assert connection.recv(1) == b""


def test_the_longest_idle_connection_makes_room(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    clients = [socket.create_connection(address, timeout=20) for _ in range(4)]
    try:
        assert [client.recv(1) for client in clients[:2]] == [b"", b""]
        assert [status(send(client, STORED)) for client in clients[2:]] == [200, 200]
    finally:
        for client in clients:
            client.close()


def test_a_client_that_reads_no_hits_is_held_little_and_disconnected(
    machine: Machine, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.5)
    buffered, lost = [], []
    pause, lose = HitProtocol.pause_writing, HitProtocol.connection_lost

    def noting(self: HitProtocol) -> None:
        buffered.append(self.transport.get_write_buffer_size())
        pause(self)

    monkeypatch.setattr(HitProtocol, "pause_writing", noting)
    monkeypatch.setattr(HitProtocol, "connection_lost", lambda *args: (lost.append(1), lose(*args))[1])
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", bytes(200_000), Attributes("image/webp"))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(address)
        while not buffered:
            slow.sendall(f"GET {STORED} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            threading.Event().wait(0.2)
        wait_for(lambda: lost, "the end of the connection")
    assert max(buffered) <= 256 * 1024


@pytest.mark.parametrize("name", ["signed", "auto"])
def test_a_new_original_ends_a_hit(machine: Machine, address: Address, name: str) -> None:
    for _ in range(3):
        with socket.create_connection(address, timeout=20) as connection:
            assert body_of(send(connection, TARGETS[name])).endswith(b" of cat")
    machine.ingest.put("cat.jpg", b"dog")
    for _ in range(2):
        with socket.create_connection(address, timeout=20) as connection:
            assert body_of(send(connection, TARGETS[name])).endswith(b" of dog")


def test_a_miss_is_rendered_by_the_server_and_then_a_hit_of_others(
    address: Address, handed_over: list[bytes], answered: list[bytes]
) -> None:
    with socket.create_connection(address, timeout=20) as first:
        rendered = send(first, TARGETS["signed"])
    assert len(handed_over) == 1
    assert body_of(rendered) == b"w=11,fm=webp of cat"
    answered.clear()
    with socket.create_connection(address, timeout=20) as second:
        for _ in range(3):
            assert body_of(send(second, TARGETS["signed"])) == body_of(rendered)
    assert (len(handed_over), len(answered)) == (1, 3)


def test_an_upload_through_the_hit_server_is_whole(address: Address, machine: Machine) -> None:
    body = bytes(range(256)) * 3000
    head = f"PUT /uploads/new.jpg HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(head.encode() + body)
        assert status(receive(connection)) == 201
    assert machine.ingest.uploads.bodies()["new.jpg"] == body


def test_a_hit_server_that_ends_is_started_again(
    machine: Machine, address: Address, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hit_servers, "_FIRST_PAUSE_SECONDS", 0.01)
    processes: list[Any] = machine.hit_server_processes
    with socket.create_connection(address, timeout=20) as connection:
        assert status(send(connection, STORED)) == 200
    for end in processes[0]._sockets[1:]:
        end.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: len(processes) == 2, "another hit server")
    with socket.create_connection(address, timeout=20) as connection:
        assert status(send(connection, STORED)) == 200
    assert "a hit server ended" in caplog.text


def test_a_hit_server_that_cannot_start_is_started_later(
    machine: Machine, address: Address, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hit_servers, "_FIRST_PAUSE_SECONDS", 0.01)
    processes: list[Any] = machine.hit_server_processes
    with socket.create_connection(address, timeout=20) as connection:
        assert status(send(connection, STORED)) == 200
    start = hit_servers.subprocess.Popen
    errors = [OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))]

    def start_at_the_second_try(*args: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return start(*args, **options)

    monkeypatch.setattr(hit_servers.subprocess, "Popen", start_at_the_second_try)
    for end in processes[0]._sockets[1:]:
        end.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: len(processes) == 2, "another hit server")
    with socket.create_connection(address, timeout=20) as connection:
        assert status(send(connection, STORED)) == 200
    assert "a hit server did not start: Resource temporarily unavailable" in caplog.text


def test_a_connection_whose_descriptor_found_no_room_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    servers, process = object.__new__(HitServers), object.__new__(hit_servers._Process)
    servers._receive(process, HandOver(b"GET / HTTP/1.1"), None)
    assert "expected room for its descriptor, got none" in caplog.text


def test_idle_connections_of_the_hit_server_are_closed(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with (
        socket.create_connection(address, timeout=20) as silent,
        socket.create_connection(address, timeout=20) as used,
    ):
        assert status(send(used, STORED)) == 200
        assert silent.recv(1) == b""
        assert used.recv(1) == b""


def test_a_stop_completes_responses_and_ends_the_hit_server(machine: Machine, address: Address) -> None:
    large = bytes(200_000)
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", large, Attributes("image/webp"))
    head = f"GET {STORED} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect(address)
        slow.sendall(head)
        wait_for(lambda: slow.recv(1, socket.MSG_PEEK), "the beginning")
        machine.server.should_exit = True
        threading.Event().wait(0.3)
        assert len(body_of(receive(slow))) == len(large)
        assert slow.recv(1) == b""
    (process,) = machine.hit_server_processes
    process._thread.join(20)
    assert not process._thread.is_alive()


def test_a_rendition_that_the_hit_server_sends_is_used(machine: Machine, address: Address) -> None:
    """So that it is evicted later than others."""
    for name in ("signed", "own format"):
        for _ in range(2):
            with socket.create_connection(address, timeout=20) as connection:
                send(connection, TARGETS[name])
    cache: Any = machine.application.state.context.render_coordinator._cache
    assert list(cache._sizes)[-1].endswith("~w=13,fm=jpeg.jpg")
    with socket.create_connection(address, timeout=20) as connection:
        send(connection, TARGETS["signed"])
    wait_for(lambda: list(cache._sizes)[-1].endswith("~w=11,fm=webp.webp"), "the touch")
