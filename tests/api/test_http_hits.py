"""Hits are answered before the routes: with the same bytes, and only while the routes would answer so."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from random import Random
from typing import Any

import pytest
from http_machine import Machine
from http_signed import let_sign, signed
from msgspec.structs import replace

from image_processor.api import hit_cache
from image_processor.api.hit_cache import HitCache
from image_processor.api.plain_request import PlainRequest
from image_processor.api.server import Server
from image_processor.bootstrap.server import forget_hits
from image_processor.config.recipe import parse_recipe
from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import signature_query
from image_processor.domain.ports import Attributes
from support.altered_urls import RING
from support.waiting import wait_for

Address = tuple[str, int]
STORED = "/renditions/cat.jpg/w=10,fm=webp.webp"


@pytest.fixture(autouse=True)
def _originals(machine: Machine) -> None:
    let_sign(machine)
    machine.settings = replace(
        machine.settings, dialects=("thumbor",), allow_unsigned=False, overlays="marks/"
    )
    machine.ingest.put("marks/logo.png", b"logo")
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"declared" * 20, Attributes("image/webp"))


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The targets of requests that were answered before the routes."""
    targets: list[bytes] = []
    respond = HitCache.respond

    def counting(self: HitCache, request: PlainRequest, server_headers: bytes) -> Any:
        response = respond(self, request, server_headers)
        if response is not None:
            targets.append(request.target)
        return response

    monkeypatch.setattr(HitCache, "respond", counting)
    return targets


@contextmanager
def running(server: Server) -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def get(address: Address) -> Iterator[Any]:
    """Sends requests over one connection and returns the raw responses."""
    with ExitStack() as stack:
        connections: list[socket.socket] = []

        def exchange(target: str, *lines: str, method: str = "GET", host: str = "localhost") -> bytes:
            if not connections:
                connections.append(stack.enter_context(socket.create_connection(address, timeout=20)))
            return send(connections[0], target, *lines, method=method, host=host)

        yield exchange


def send(
    connection: socket.socket, target: str, *lines: str, method: str = "GET", host: str = "localhost"
) -> bytes:
    """The response with a fixed Date and id."""
    head = "\r\n".join((f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""))
    connection.sendall(head.encode("latin-1"))
    return receive(connection, has_body=method != "HEAD")


def receive(connection: socket.socket, *, has_body: bool = True) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        assert chunk, received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    while has_body and length and b" 304 " not in head[:20] and len(body) < int(length[1]):
        body += connection.recv(65_536)
    for name in (b"date", b"x-request-id"):
        head = re.sub(name + rb": [^\r]*", name + b": -", head)
    return head + b"\r\n\r\n" + body


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def entity_tag(response: bytes) -> str:
    found = re.search(rb'etag: ("[^\r]*)', response)
    return found[1].decode() if found else '"none"'


def body_of(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


TARGETS = {
    "declared": STORED,
    "signed": signed("cat.jpg", "w=11&fm=webp"),
    "auto": signed("cat.jpg", "w=12&fm=auto"),
    "own format": signed("cat.jpg", "w=13"),
    "preset": "/renditions/cat.jpg?preset=small",
    "overlay": signed("cat.jpg", "w=14&fm=webp&over=image:marks~2flogo.png"),
    "escaped": STORED.replace("cat", "%63at"),
    "ignored parameter": STORED + "?v=1",
    "empty query": STORED + "?",
    "missing": "/renditions/none.jpg/w=10,fm=webp.webp",
    "unsigned": "/renditions/cat.jpg?w=99&fm=webp",
    "api": "/recipe",
}
HEADERS = (
    [],
    ["Accept: image/avif,image/webp,*/*;q=0.8"],
    ["Accept: image/webp"],
    ["If-None-Match: ETAG"],
    ['If-None-Match: "other"', "Accept: image/webp"],
    ["If-Match: ETAG"],
    ['If-Match: "other"'],
    ["If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"],
    ["If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"],
    ["Range: bytes=0-3"],
    ["Range: bytes=-2", "If-Range: ETAG"],
    ["Range: bytes=2-", 'If-Range: "other"'],
    ["Range: bytes=99999-"],
    ["Range: bytes=0-1,3-4"],
    ["Range: lines=1-2"],
    ["Connection: keep-alive", "User-Agent: x", "Origin: https://elsewhere.example"],
    ["Range: bytes=0-3", "Range: bytes=1-2"],
)


def test_responses_equal_those_of_the_routes_byte_for_byte(machine: Machine, answered: list[bytes]) -> None:
    """Every target with every set of headers, by GET and HEAD and in random order, twice."""
    fast, routes = Server(machine.app(), machine.settings), Server(machine.app(), machine.settings)
    routes_only: Any = routes.config.http
    routes_only.hits = None
    cases = list(product(TARGETS.values(), HEADERS, ("GET", "HEAD")))
    Random(1).shuffle(cases)
    with running(fast) as first, running(routes) as second, ExitStack() as stack:
        with_hits, without = (
            stack.enter_context(socket.create_connection(address, timeout=20)) for address in (first, second)
        )
        send(without, TARGETS["preset"])  # processes the original
        for target, lines in product(TARGETS.values(), HEADERS[:3]):
            send(without, target, *lines)  # renders and stores what is missing
        tags = {target: entity_tag(send(without, target)) for target in TARGETS.values()}
        for target, lines, method in cases:
            sent = [line.replace("ETAG", tags[target]) for line in lines]
            expected = send(without, target, *sent, method=method)
            for _ in range(2):
                assert send(with_hits, target, *sent, method=method) == expected, (target, sent)
    assert len(answered) > len(cases) / 2
    never = (TARGETS["empty query"], TARGETS["missing"], TARGETS["unsigned"], TARGETS["api"])
    assert {target.decode() for target in answered} == set(TARGETS.values()) - set(never)


@pytest.mark.parametrize("name", ["declared", "signed", "auto", "own format", "preset", "overlay"])
def test_a_new_original_ends_a_hit(machine: Machine, get: Any, answered: list[bytes], name: str) -> None:
    target = TARGETS[name]
    for _ in range(4):
        response = get(target)
    assert len(answered) >= 2
    machine.ingest.put("cat.jpg", b"dog")
    answered.clear()
    renewed = get(target)
    assert answered == []
    assert status(renewed) == 200
    assert (b" of dog" in body_of(renewed)) == (name not in {"declared", "preset"})
    assert body_of(response) != body_of(renewed) or name in {"declared", "preset"}


def test_a_new_overlay_image_ends_a_hit(machine: Machine, get: Any, answered: list[bytes]) -> None:
    for _ in range(4):
        get(TARGETS["overlay"])
    assert answered
    machine.ingest.put("marks/logo.png", b"another")
    answered.clear()
    assert status(get(TARGETS["overlay"])) == 200
    assert answered == []


def test_a_rendition_that_was_replaced_or_deleted_is_never_answered_from_memory(
    machine: Machine, get: Any, answered: list[bytes]
) -> None:
    for _ in range(3):
        get(STORED)
    assert answered
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"new", Attributes("image/png"))
    replaced = get(STORED)
    assert (body_of(replaced), b"content-type: image/png" in replaced) == (b"new", True)
    get(STORED)
    machine.ingest.processed.delete("cat.jpg/w=10,fm=webp.webp")
    answered.clear()
    assert body_of(get(STORED)) == b"w=10,fm=webp of cat"
    assert answered == []


def test_an_original_that_was_deleted_ends_a_hit(machine: Machine, get: Any) -> None:
    for _ in range(3):
        assert status(get(TARGETS["signed"])) == 200
    machine.ingest.uploads.delete("cat.jpg")
    assert status(get(TARGETS["signed"])) == 404


def test_another_recipe_ends_every_hit(machine: Machine, get: Any, answered: list[bytes]) -> None:
    for _ in range(3):
        assert status(get(STORED)) == 200
    assert answered
    recipe = machine.live_recipe.current
    context, hits = machine.application.state.context, machine.application.state.hits
    machine.live_recipe.follow(lambda _: forget_hits(context, hits, machine.server._hit_servers))
    other = '[presets.other]\nwidth = 20\nformats = ["webp"]\n[[rules]]\nmatch = "**"\npresets = ["other"]'
    assert machine.live_recipe.replace(parse_recipe(other))
    assert wait_for(lambda: status(get(STORED)) != 200, "the hit to end")
    machine.live_recipe.replace(recipe)
    assert wait_for(lambda: status(get(STORED)) == 200, "the rendition to be public again")
    answered.clear()
    assert wait_for(lambda: status(get(STORED)) == 200 and answered, "a new hit")


def test_a_hit_that_an_earlier_recipe_found_is_not_remembered(machine: Machine, get: Any) -> None:
    assert status(get(STORED)) == 200
    hits: HitCache = machine.application.state.hits
    hit = hits.find(STORED.encode(), {})
    assert hit is not None
    hits.forget(1)
    hits.add(STORED.encode(), hit)
    assert hits.find(STORED.encode(), {}) is None
    hits.add(STORED.encode(), replace(hit, recipe_number=1))
    assert hits.find(STORED.encode(), {}) is not None


def test_a_url_that_expires_ends_its_hit(machine: Machine, answered: list[bytes]) -> None:
    now = [1_000_000.0]
    app = machine.app()
    context: Any = app.state.context
    resolver = context.delivery.resolver
    resolver._clock = lambda: now[0]
    app.state.context = replace(context, delivery=replace(context.delivery, clock=lambda: now[0]))
    app.state.hits._clock = lambda: now[0]
    signature = RING.sign(parse_url("cat.jpg", "w=11&fm=webp"), 1_000_100)
    target = f"/renditions/cat.jpg?w=11&fm=webp&{signature_query(signature)}"
    with ExitStack() as stack:
        address = stack.enter_context(running(Server(app, machine.settings)))
        connection = stack.enter_context(socket.create_connection(address, timeout=20))
        ages = []
        for _ in range(4):
            ages += re.findall(rb"max-age=(\d+)", send(connection, target))
            now[0] += 20
        assert ages == [b"100", b"80", b"60", b"40"]
        assert answered
        now[0] = 1_000_100
        answered.clear()
        assert status(send(connection, target)) == 403
        assert answered == []


def test_clients_with_other_formats_get_other_renditions(get: Any, answered: list[bytes]) -> None:
    accepts = {"image/avif": b"avif", "image/webp": b"webp", "*/*": b"jpeg"}
    for _ in range(3):
        for accept, format_ in accepts.items():
            response = get(TARGETS["auto"], f"Accept: {accept}")
            assert body_of(response) == b"w=12,fm=%b of cat" % format_
            assert b"vary: Accept\r\n" in response
    assert len(answered) == 3  # the first is rendered, the second remembered


def test_a_foreign_host_is_refused_whatever_is_remembered(get: Any, answered: list[bytes]) -> None:
    for _ in range(3):
        get(STORED)
    assert len(answered) == 2
    assert status(get(STORED, host="elsewhere.example")) == 421


def test_a_hit_keeps_a_rendition_from_eviction(machine: Machine, get: Any) -> None:
    for _ in range(2):
        get(TARGETS["signed"])
        get(TARGETS["own format"])
    cache: Any = machine.application.state.context.render_coordinator._cache
    assert next(iter(cache._sizes)).endswith("~w=11,fm=webp.webp")
    get(TARGETS["signed"])
    assert not next(iter(cache._sizes)).endswith("~w=11,fm=webp.webp")


def test_requests_in_pieces_and_pipelined_are_answered_in_order(address: Address, get: Any) -> None:
    for _ in range(3):
        expected = get(STORED)
    head = f"GET {STORED} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    other = b"GET /recipe HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(address, timeout=20) as connection:
        for position in (1, 10, len(head) - 1):
            connection.sendall(head[:position])
            threading.Event().wait(0.05)
            connection.sendall(head[position:])
            assert receive(connection) == expected
        connection.sendall(other + head + head + other + head)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 5 or not received.endswith(body_of(expected)):
            received += connection.recv(65_536)
        kinds = re.findall(rb"content-type: (\S+)", received)
        assert kinds == [
            b"application/json",
            b"image/webp",
            b"image/webp",
            b"application/json",
            b"image/webp",
        ]


def test_an_idle_connection_after_hits_is_closed(machine: Machine, get: Any, address: Address) -> None:
    for _ in range(2):
        get(STORED)
    machine.server.config.timeout_keep_alive = 1
    with socket.create_connection(address, timeout=20) as connection:
        for _ in range(3):
            threading.Event().wait(0.5)
            assert status(send(connection, STORED)) == 200
        assert connection.recv(1) == b""


def test_a_client_that_reads_no_hits_is_held_little(machine: Machine, address: Address, get: Any) -> None:
    large = bytes(200_000)
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", large, Attributes("image/webp"))
    for _ in range(3):
        get(STORED)
    head = f"GET {STORED} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with socket.create_connection(address, timeout=20) as connection:
        connection.setblocking(False)
        sent = 0
        for _ in range(400):
            try:
                sent += connection.send(head)
            except BlockingIOError:
                break
            threading.Event().wait(0.002)
        protocols = list(machine.server.server_state.connections)
        assert max(protocol.transport.get_write_buffer_size() for protocol in protocols) <= 320 * 1024


def test_the_memory_is_bounded(get: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hit_cache, "_MAX_HITS", 3)
    for number in range(6):
        get(f"{STORED}?v={number}")
        get(f"{STORED}?v={number}")
    hits = machine.application.state.hits
    assert (len(hits._hits), len(hits._vary)) == (3, 3)


def test_on_a_file_system_that_may_wait_the_routes_answer(
    machine: Machine, get: Any, answered: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.ingest.uploads, "supports_cached_reads", lambda _: False)
    assert {status(get(STORED)) for _ in range(4)} == {200}
    assert answered == []


def test_clients_cannot_fill_the_memory_with_long_requests(get: Any, machine: Machine) -> None:
    long = "x" * 3000
    for _ in range(2):
        assert status(get(f"{STORED}?utm_source={long}")) == 200
        assert status(get(STORED, f'If-None-Match: "{long}"')) == 200
    hits = machine.application.state.hits
    assert list(hits._vary) == [STORED.encode()]
    assert [found.heads for found in hits._hits.values()] == [{}]
