"""Uploads over a socket: exact keys, limits, and clients that disconnect."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_machine import Client, Machine
from msgspec.structs import replace

from image_processor.api import uploads
from image_processor.config.recipe import parse_recipe
from image_processor.delivery.url.builder import object_url
from image_processor.domain.errors import InsufficientStorage, Unavailable
from image_processor.domain.keys import image_id
from image_processor.engine import sample

LIMIT = 1_000_000


@pytest.mark.parametrize("part", ["bytes 0-4/5", "bytes 5-9/20", "pages 1-2/3", ""])
def test_a_part_of_a_file_is_refused(client: Client, part: str) -> None:
    """RFC 9110, 14.5: a server that does not support partial PUT responds with 400."""
    response = client.put("/uploads/part.jpg", content=b"a cat", headers={"content-range": part})
    assert response.status_code == 400
    assert response.json()["problems"][0]["name"] == "Content-Range"
    assert client.put("/uploads/part.jpg", content=b"a cat").status_code == 201


def test_an_upload_is_stored_queued_and_located(machine: Machine, client: Client) -> None:
    response = client.put("/uploads/photos/cat.jpg", content=b"a cat")
    id_ = image_id("uploads", "photos/cat.jpg")
    assert response.status_code == 201
    assert response.json() == {
        "id": id_,
        "key": "photos/cat.jpg",
        "bytes": 5,
        "version": machine.ingest.uploads.head("photos/cat.jpg").entry.version,
        "status": "queued",
        "image": f"/images/{id_}",
    }
    assert response.headers["location"] == f"/images/{id_}"
    machine.workers.wait_until_idle()
    assert machine.ingest.processed.bodies() == machine.ingest.expected()


def test_a_queued_upload_can_be_queried_by_its_id(machine: Machine, client: Client) -> None:
    machine.gate.clear()
    where = client.put("/uploads/a.jpg", content=b"a").headers["location"]
    assert client.get(where).json()["status"] == "queued"


def test_only_the_content_decides_about_the_media_type(machine: Machine, client: Client) -> None:
    client.put("/uploads/a.txt", content=b"\x89PNG\r\n\x1a\n", headers={"content-type": "text/html"})
    client.put("/uploads/b.png", content=b"<html>", headers={"content-type": "image/png"})
    types = [machine.ingest.uploads.head(key).attributes.media_type for key in ("a.txt", "b.png")]
    assert types == ["image/png", "application/octet-stream"]


def test_an_upload_replaces_the_previous_one(machine: Machine, client: Client) -> None:
    for body, status in ((b"one", 201), (b"two", 200)):
        assert client.put("/uploads/a.jpg", content=body).status_code == status
        machine.workers.wait_until_idle()
    assert machine.ingest.processed.bodies() == machine.ingest.expected()


def test_an_upload_that_must_be_new_replaces_nothing(machine: Machine, client: Client) -> None:
    first, second = (
        client.put("/uploads/a.jpg", content=body, headers={"if-none-match": "*"})
        for body in (b"one", b"two")
    )
    assert (first.status_code, second.status_code) == (201, 412)
    assert second.headers["content-type"] == "application/problem+json"
    assert second.json()["code"] == "precondition-failed"
    version = first.json()["version"]
    assert second.json()["detail"] == f"expected If-None-Match: * for 'a.jpg', got version \"{version}\""
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"one"}


def test_an_upload_over_a_version_replaces_no_other(machine: Machine, client: Client) -> None:
    tag = client.put("/uploads/a.jpg", content=b"one").headers["etag"]
    second = client.put("/uploads/a.jpg", content=b"two", headers={"if-match": tag})
    third = client.put("/uploads/a.jpg", content=b"three", headers={"if-match": tag})
    assert (second.status_code, third.status_code) == (200, 412)
    assert second.headers["etag"] == f'"{second.json()["version"]}"' != tag
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"two"}
    nothing = client.put("/uploads/b.jpg", content=b"one", headers={"if-match": "*"})
    assert (nothing.status_code, nothing.json()["detail"]) == (
        412,
        "expected If-Match: * for 'b.jpg', got no object",
    )


def test_only_one_of_many_concurrent_creations_succeeds(machine: Machine, live: httpx.Client) -> None:
    """All pass the check while the key is free; their bodies end after that."""
    count = 6
    all_in = threading.Barrier(count)

    def put(number: int) -> int:
        def body() -> Iterator[bytes]:
            yield b"%d" % number
            all_in.wait(30)
            yield b"!"

        return live.put("/uploads/a.jpg", content=body(), headers={"if-none-match": "*"}).status_code

    with ThreadPoolExecutor(count) as pool:
        statuses = list(pool.map(put, range(count)))
    assert sorted(statuses) == [201] + [412] * (count - 1)
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"%d!" % statuses.index(201)}


def test_an_upload_without_room_is_507_and_can_be_sent_again(machine: Machine, client: Client) -> None:
    put_stream = machine.ingest.uploads.put_stream

    def full(*_: object, **__: object) -> None:
        raise InsufficientStorage("3 MB free for data, expected 500 MB")

    machine.ingest.uploads.put_stream = full
    response = client.put("/uploads/a.jpg", content=b"a")
    assert (response.status_code, response.json()["code"]) == (507, "insufficient-storage")
    assert response.json()["detail"] == "3 MB free for data, expected 500 MB"
    assert response.headers["retry-after"] == "1"
    machine.ingest.uploads.put_stream = put_stream
    assert client.put("/uploads/a.jpg", content=b"a").status_code == 201


@pytest.mark.parametrize("headers", [{}, {"content-length": "0"}])
def test_an_empty_upload_is_refused_and_keeps_the_existing_original(
    machine: Machine, client: Client, headers: dict[str, str]
) -> None:
    client.put("/uploads/a.jpg", content=b"a")
    response = client.put("/uploads/a.jpg", headers=headers)
    assert (response.status_code, response.json()["reason"]) == (422, "empty")
    assert machine.ingest.uploads.bodies() == {"a.jpg": b"a"}


@pytest.mark.parametrize(
    "path", ["../a.jpg", "%2e%2e/a.jpg", "a/%2E%2e/%2e./b", "", "%00", "%FF.jpg", "a" * 1025]
)
def test_an_illegal_key_is_refused_before_the_body_is_read(machine: Machine, talk: Talk, path: str) -> None:
    head = f"PUT /uploads/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
    status, body = talk(head.encode())
    assert (status, b'"invalid-key"' in body) == (400, True)
    assert machine.ingest.uploads.bodies() == {}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a+b%20c.jpg", "a+b c.jpg"),
        ("caf%C3%A9.jpg", "café.jpg"),
        ("a%2Fb.jpg", "a/b.jpg"),
        ("a//b.jpg", "a//b.jpg"),
        ("/a.jpg", "/a.jpg"),
        ("a/%2e%2e/b.jpg", "a/../b.jpg"),
        ("a/../b.jpg", "a/../b.jpg"),
        ("./a.jpg", "./a.jpg"),
        ("100%25.jpg", "100%.jpg"),
        ("%2525.jpg", "%25.jpg"),
        ("a%3Fb%23c.jpg?x=1", "a?b#c.jpg"),
        ("a%0Ab%0D.jpg", "a\nb\r.jpg"),
        ("a%0A", "a\n"),
        ("%EF%BF%BD.jpg", "\ufffd.jpg"),
        ("%F0%9F%90%88.jpg", "🐈.jpg"),
        ("a;b=c,d.jpg", "a;b=c,d.jpg"),
        ("a%5Cb.jpg", "a\\b.jpg"),
    ],
)
def test_a_path_reaches_exactly_its_key(machine: Machine, talk: Talk, path: str, key: str) -> None:
    head = f"PUT /uploads/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    status, body = talk(head.encode() + b"cat")
    assert (status, machine.ingest.uploads.bodies()) == (201, {key: b"cat"}), body


@pytest.mark.parametrize(
    "key", ["a b+c%.jpg", "a/../b.jpg", "./a", "a//b", "/a", "ä/🐈?#.jpg", "a\nb", "a\\b", "a/.."]
)
def test_an_escaped_path_reaches_its_key_through_a_client_that_normalises_paths(
    machine: Machine, live: httpx.Client, key: str
) -> None:
    assert live.put(object_url("/uploads", key), content=b"cat").status_code == 201
    assert machine.ingest.uploads.bodies() == {key: b"cat"}


def test_a_declared_length_over_the_limit_is_refused_before_the_body(machine: Machine, talk: Talk) -> None:
    head = b"PUT /uploads/a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    status, body = talk(head % (LIMIT + 1))
    assert (status, b'"too-many-bytes"' in body) == (413, True)
    assert machine.ingest.uploads.bodies() == {}


def test_a_body_that_grows_past_the_limit_leaves_nothing(live: httpx.Client, tmp_path: Path) -> None:
    response = live.put("/uploads/a", content=itertools.repeat(b"x" * 50_000, 21))
    assert (response.status_code, response.json()["reason"]) == (413, "too-many-bytes")
    assert left_behind(tmp_path) == []


def test_a_body_of_exactly_the_limit_is_stored(live: httpx.Client) -> None:
    assert live.put("/uploads/a", content=iter([b"x" * LIMIT])).json()["bytes"] == LIMIT


def left_behind(tmp_path: Path) -> list[Path]:
    """Objects and temporary files, without the folders and locks of the store."""
    return [
        path for path in (tmp_path / "uploads").rglob("*") if path.is_file() and "lock" not in str(path.name)
    ]


@pytest.mark.parametrize("framing", [b"Content-Length: 500000", b"Transfer-Encoding: chunked"])
def test_a_client_that_disconnects_leaves_nothing(
    machine: Machine,
    address: tuple[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    framing: bytes,
) -> None:
    started, ended = threading.Event(), threading.Event()
    put_stream = machine.ingest.uploads.put_stream

    def watched(key: str, chunks: Iterator[bytes], *rest: Any, **kwargs: Any) -> Any:
        def watched_chunks() -> Iterator[bytes]:
            for chunk in chunks:
                started.set()
                yield chunk

        try:
            return put_stream(key, watched_chunks(), *rest, **kwargs)
        finally:
            ended.set()

    monkeypatch.setattr(machine.ingest.uploads, "put_stream", watched)
    with socket.create_connection(address) as connection:
        connection.sendall(b"PUT /uploads/a HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
        connection.sendall(b"3e8\r\n" + b"x" * 1000 if b"chunked" in framing else b"x" * 1000)
        assert started.wait(10)
    assert ended.wait(10)
    assert left_behind(tmp_path) == []
    assert machine.workers.backlog() == 0


def test_a_silent_client_times_out(talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_LAG_SECONDS", 0.05)
    status, body = talk(b"PUT /uploads/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
    assert (status, b"bytes a second" in body) == (408, True)
    assert left_behind(tmp_path) == []


def test_a_slow_store_slows_the_client_down(
    machine: Machine, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that pulls no more chunks stops the client far below the size of the body."""
    go_on, pulled = threading.Event(), threading.Event()
    put_stream = machine.ingest.uploads.put_stream

    def slow(key: str, chunks: Iterator[bytes], *rest: Any, **kwargs: Any) -> Any:
        def held() -> Iterator[bytes]:
            for chunk in chunks:
                pulled.set()
                assert go_on.wait(30)
                yield chunk

        return put_stream(key, held(), *rest, **kwargs)

    monkeypatch.setattr(machine.ingest.uploads, "put_stream", slow)
    monkeypatch.setattr(uploads, "_check_length", lambda *_: None)
    size = 64_000_000
    with socket.create_connection(address) as connection:
        connection.sendall(
            b"PUT /uploads/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nx" % size
        )
        assert pulled.wait(10)
        sent = send_until_held(connection, size)
        go_on.set()
    assert sent < size / 2


def send_until_held(connection: socket.socket, size: int) -> int:
    """The number of bytes that the other side accepts before it stops reading."""
    connection.settimeout(0.5)
    sent = 0
    with suppress(TimeoutError):
        while sent < size:
            sent += connection.send(b"x" * 65_536)
    return sent


def test_a_temporary_error_of_the_store_is_503(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise Unavailable("no space is left for 'a'")

    monkeypatch.setattr(machine.ingest.uploads, "put_stream", full)
    response = client.put("/uploads/a", content=b"a")
    assert (response.status_code, response.json()["detail"]) == (503, "no space is left for 'a'")


@pytest.fixture
def _no_sample_yet() -> Iterator[None]:
    uploads._sample.cache_clear()
    yield
    uploads._sample.cache_clear()


@pytest.mark.usefixtures("_no_sample_yet")
def test_the_sample_is_drawn_once(live: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = itertools.count()
    monkeypatch.setattr(sample, "draw_sample", lambda: b"drawing %d" % next(drawings))
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: live.post("/samples"), range(4)))
    assert sorted(response.status_code for response in responses) == [200, 200, 200, 201]
    live.delete(responses[0].json()["image"])
    assert live.post("/samples").status_code == 201
    assert next(drawings) == 1


@pytest.mark.usefixtures("_no_sample_yet")
def test_an_existing_sample_is_not_drawn_again(
    machine: Machine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "draw_sample", lambda: pytest.fail("drawn for nothing"))
    machine.ingest.put("sample.jpg", b"mine")
    assert client.post("/samples").status_code == 200


@pytest.mark.usefixtures("_no_sample_yet")
def test_waiting_for_the_sample_blocks_no_other_request(
    address: tuple[str, int], live: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests wait than there are threads; all are accepted when the last one is."""
    drawing, go_on = threading.Event(), threading.Event()

    def draw() -> bytes:
        drawing.set()
        assert go_on.wait(30)
        return b"drawn"

    monkeypatch.setattr(sample, "draw_sample", draw)
    with ExitStack() as stack:
        stack.callback(go_on.set)
        waiting = [stack.enter_context(socket.create_connection(address)) for _ in range(60)]
        for item in waiting:
            item.sendall(b"POST /samples HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert drawing.wait(10)
        assert live.get("/recipe", timeout=10).status_code == 200
        go_on.set()
        statuses = sorted(item.makefile("rb").readline().split()[1] for item in waiting)
    assert statuses == [b"200"] * 59 + [b"201"]


def test_the_sample_is_drawn_stored_and_queued(machine: Machine, client: Client) -> None:
    response = client.post("/samples")
    assert (response.status_code, response.json()["key"]) == (201, "sample.jpg")
    body = machine.ingest.uploads.get("sample.jpg").body
    assert body.startswith(b"\xff\xd8\xff")
    assert response.json()["bytes"] == len(body)
    machine.workers.wait_until_idle()
    assert machine.ingest.processed.bodies() == machine.ingest.expected()


def test_a_skipped_sample_is_not_stored(machine: Machine) -> None:
    machine.ingest.recipe = parse_recipe("[[rules]]\nmatch = '**'\npresets = []")
    with asyncio.Runner() as runner:
        response = Client(machine.app(), runner).post("/samples")
    assert (response.status_code, response.json()["code"]) == (422, "skipped")
    assert machine.ingest.uploads.bodies() == {}


def test_overlay_images_are_stored_without_renditions(machine: Machine) -> None:
    machine.ingest.recipe = parse_recipe("[[rules]]\nmatch = '**'\npresets = []")
    machine.settings = replace(machine.settings, overlays="logos/")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        kept = client.put("/uploads/logos/mark.png", content=b"logo")
        other = client.put("/uploads/other/mark.png", content=b"logo")
    assert (kept.status_code, other.status_code) == (201, 422)
    assert machine.ingest.uploads.bodies() == {"logos/mark.png": b"logo"}


def test_the_sample_does_not_replace_a_file_of_that_name(machine: Machine, client: Client) -> None:
    machine.ingest.put("sample.jpg", b"mine")
    response = client.post("/samples")
    assert (response.status_code, response.json()["bytes"]) == (200, 4)
    machine.workers.wait_until_idle()
    assert machine.ingest.uploads.get("sample.jpg").body == b"mine"
    assert machine.ingest.record("sample.jpg") is not None


Talk = Callable[[bytes], tuple[int, bytes]]


@pytest.fixture
def talk(address: tuple[str, int]) -> Talk:
    """Send exactly these bytes to the server; return status and body of its first response."""

    def say(request: bytes) -> tuple[int, bytes]:
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as response:
                status = int(response.readline().split()[1])
                length = 0
                while (line := response.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                return status, response.read(length)

    return say
