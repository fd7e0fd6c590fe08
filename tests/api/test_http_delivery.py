"""On-demand renditions over HTTP: concurrent requests, full queues, altered URLs, paths and ranges."""

from __future__ import annotations

import asyncio
import os
import socket
from random import Random
from typing import Any

import httpx
import pytest
from http_machine import Machine
from http_signed import let_sign, signed

from image_processor.domain.ports import Attributes
from support.altered_urls import altered, signed_urls
from support.ranges import meant, said
from support.waiting import wait_for

STRESS = bool(os.environ.get("STRESS"))
SEED = int(os.environ.get("SEED", "20261126"))
PROBLEM = "application/problem+json"


@pytest.fixture(autouse=True)
def _signing(machine: Machine) -> None:
    let_sign(machine)


@pytest.fixture
def decoded(machine: Machine) -> list[tuple[str, ...]]:
    """The transformations of every call of the renderer."""
    calls = []
    render = machine.ingest.render

    def counting(data: bytes, transformations: Any, *rest: Any, **kwargs: Any) -> Any:
        calls.append(tuple(map(str, transformations)))
        return render(data, transformations, *rest, **kwargs)

    machine.ingest.render = counting
    return calls


@pytest.fixture
def get_all(machine: Machine) -> Any:
    """Requests URLs concurrently and returns the responses in their order."""

    def all_at_once(*urls: str) -> list[httpx.Response]:
        # An app serves one event loop.
        transport = httpx.ASGITransport(machine.app(), raise_app_exceptions=False)

        async def gather() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await asyncio.gather(*(client.get(url) for url in urls))

        return asyncio.run(gather())

    return all_at_once


@pytest.mark.parametrize("query", ["w=11&fm=webp", "w=11&fm=auto", "w=11"])
def test_500_concurrent_misses_render_once(get_all: Any, decoded: list[Any], query: str) -> None:
    """Promise 41. If the format depends on the original, its header is read once before."""
    responses = get_all(*[signed("cat.jpg", query)] * 500)
    format_ = "webp" if "webp" in query else "jpeg"
    assert {(item.status_code, item.content) for item in responses} == {
        (200, f"w=11,fm={format_} of cat".encode())
    }
    assert decoded == ([] if "webp" in query else [()]) + [(f"w=11,fm={format_}",)]


def test_concurrent_requests_for_a_declared_rendition_process_the_original_once(
    machine: Machine, get_all: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, get = [], machine.ingest.uploads.get

    def counting(key: str, **kwargs: Any) -> Any:
        read.append(key)
        return get(key, **kwargs)

    monkeypatch.setattr(machine.ingest.uploads, "get", counting)
    responses = get_all(*["/renditions/cat.jpg/w=10,fm=webp.webp"] * 300)
    assert {(item.status_code, item.content) for item in responses} == {(200, b"w=10,fm=webp of cat")}
    assert read == ["cat.jpg"]


def test_concurrent_requests_get_the_same_error(machine: Machine, get_all: Any) -> None:
    machine.ingest.put("bad.jpg", b"bad")
    for query in ("w=11&fm=webp", "w=11&fm=auto"):
        responses = get_all(*[signed("bad.jpg", query)] * 50)
        assert {item.status_code for item in responses} == {415}
        assert {item.json()["reason"] for item in responses} == {"not-an-image"}


def test_a_full_queue_rejects_requests_and_the_rest_of_the_api_works(
    machine: Machine, live: httpx.Client
) -> None:
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", b"stored", Attributes("image/webp"))
    for number in range(30):
        machine.ingest.put(f"{number}.jpg", b"cat")
    machine.gate.clear()
    queries = ("w=11&fm=auto", "w=11&fm=webp", "preset=small")
    waiting = [sent(live, signed(f"{number}.jpg", query)) for number in range(30) for query in queries]
    coordinator: Any = machine.application.state.context.render_coordinator
    wait_for(lambda: coordinator._pool.backlog() == 9, "a full queue")
    refused = live.get(signed("29.jpg", "w=12&fm=webp"))
    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert (refused.headers["retry-after"], refused.headers["cache-control"]) == ("1", "no-store")
    assert live.get("/health").status_code == 200
    assert live.get("/images").status_code == 200
    assert live.get("/renditions/cat.jpg/w=10,fm=webp.webp").content == b"stored"
    machine.gate.set()
    statuses = [int(connection.makefile("rb").readline().split()[1]) for connection in waiting]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 9
    for connection in waiting:
        connection.close()
    assert live.get(signed("29.jpg", "w=12&fm=webp")).status_code == 200


def sent(live: httpx.Client, target: str) -> socket.socket:
    """A connection on which a request has been sent and no response read."""
    connection = socket.create_connection((live.base_url.host, live.base_url.port), timeout=60)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return connection


def test_every_altered_url_is_403_without_a_store_access(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 37, over HTTP."""
    app, random, tried = machine.app(), Random(SEED), 0
    for store in (machine.ingest.uploads, machine.ingest.processed, machine.ingest.catalog):
        for name in ("head", "get", "read", "put", "list", "acquire"):
            monkeypatch.setattr(store, name, None, raising=False)

    async def attack() -> int:
        tried = 0
        for url in signed_urls(200 if STRESS else 20, SEED):
            for changed in altered(url, random, 3 if STRESS else 1):
                path, _, query = changed.partition(b"?")
                status, headers = await asgi_get(app, b"/renditions/" + path, query)
                assert (status, headers[b"cache-control"]) == (403, b"no-store"), changed
                tried += 1
        return tried

    tried = asyncio.run(attack())
    assert tried > 1000


async def asgi_get(app: Any, raw_path: bytes, query: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Call the application as uvicorn does, also with bytes that no HTTP client sends."""
    from urllib.parse import unquote  # noqa: PLC0415

    messages: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages[0]["status"], dict(messages[0]["headers"])


@pytest.mark.parametrize(
    "target",
    [
        *(
            "../secret",
            "%2e%2e/secret",
            "..%2fsecret",
            "a/%2e%2e/%2e%2e/secret",
            "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        ),
        *(
            "cat.jpg/..%2f..%2f..%2fuploads%2fcat.jpg",
            "cat.jpg%00.png",
            "*",
            "**/w=10,fm=webp.webp",
            "[a-z]*?w=10",
        ),
        *(
            "%",
            "%zz",
            "%FF",
            "%F0%9F",
            "?",
            "?&&==",
            "?w",
            "?=1",
            "cat.jpg?w=%",
            "cat.jpg?%FF=1",
            "cat.jpg?w=1%00",
        ),
        *(
            "w=10,fm=webp.webp",
            "/w=10,fm=webp.webp",
            "~",
            "~/~",
            "cat.jpg/~",
            "cat.jpg/~~w=1",
            "cat.jpg//~w=1",
        ),
        *(
            "cat.jpg/~long=0,fm=webp.webp",
            "cat.jpg/long=00,fm=webp.webp",
            "a" * 700 + "~" + "0" * 64 + "/fm=webp.webp",
        ),
        *(
            "cat.jpg?" + "a" * 8000,
            "a" * 8200,
            "cat.jpg?s=" + "A" * 9000,
            "%2e/%2e",
            "cat.jpg?s=&kid=&expires=",
        ),
        *(
            "cat.jpg?w=10&fm=webp&w=11",
            "cat.jpg?preset=~zz",
            "cat.jpg?over=text:~ff",
            "cat.jpg?preset=small&fm=heic",
        ),
        *(
            "http://169.254.169.254/latest?w=10",
            "file:///etc/passwd/w=10,fm=webp.webp",
            "//evil.example/w=10,fm=webp.webp",
        ),
        *(
            "cat.jpg?conv=" + "1:" * 500,
            "cat.jpg?w=99999999999999999999",
            "cat.jpg?blur=1e400",
            "cat.jpg?w=-0",
        ),
    ],
)
def test_no_path_escapes_and_none_is_a_server_error(live: httpx.Client, target: str) -> None:
    """Promise 44."""
    url = httpx.URL(str(live.base_url)).copy_with(raw_path=f"/renditions/{target}".encode())
    response = live.get(url)
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == PROBLEM
    assert response.headers["cache-control"] in {"no-store", "max-age=5"}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in response.headers
    assert len(response.content) < 3 * len(target) + 2000
    assert live.get("/health").status_code == 200


def test_ranges_are_parts_of_the_rendition(machine: Machine, live: httpx.Client) -> None:
    """Promise 44: every range is part of the bytes, and never more than all of them."""
    random = Random(SEED)
    body = random.randbytes(3000)
    machine.ingest.processed.put("cat.jpg/w=10,fm=webp.webp", body, Attributes("image/webp"))
    url = "/renditions/cat.jpg/w=10,fm=webp.webp"
    for _ in range(10_000 if STRESS else 300):
        text, first, last = said(random, len(body))
        response = live.get(url, headers={"range": text})
        expected = meant(body, first, last) if text == f"bytes={first}-{last}" else body
        if expected is None:
            assert (response.status_code, response.headers["content-range"]) == (416, "bytes */3000"), text
        else:
            assert response.content == expected, text
            assert response.status_code == (206 if "content-range" in response.headers else 200)
            assert len(response.content) == int(response.headers["content-length"])
