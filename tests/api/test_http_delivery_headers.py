"""All headers of on-demand renditions, for every kind of response (promise 43)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import httpx
import pytest
from http_machine import Client, Machine
from http_signed import let_sign, signed
from msgspec.structs import replace


@pytest.fixture(autouse=True)
def _signing(machine: Machine) -> None:
    let_sign(machine)


HOSTILE = [
    'a"b\\c.jpg',
    "a\r\nx-evil: 1.jpg",
    "ä€😺.png",
    "a;filename=evil.exe.jpg",
    ".htaccess",
    "..jpg",
    "a\u202egpj.exe",
    "x" * 600,
]


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_file_name_is_escaped(machine: Machine, live: httpx.Client, key: str) -> None:
    machine.ingest.put(key, b"cat")
    response = live.get(signed(key, "w=11&fm=webp"))
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    disposition = response.headers["content-disposition"]
    assert disposition.startswith('inline; filename="')
    assert disposition.isascii()
    assert disposition.count('"') == 2
    assert ".webp" in disposition
    assert "x-evil" not in response.headers
    plain = disposition.split('"')[1]
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ")


def test_headers_of_an_on_demand_rendition(client: Client) -> None:
    """Promise 43: the complete set, so that no new one goes unnoticed."""
    response = client.get(signed("cat.jpg", "w=11&fm=auto"), headers={"accept": "image/webp"})
    assert (response.status_code, response.content) == (200, b"w=11,fm=webp of cat")
    headers = dict(response.headers)
    timing = headers.pop("server-timing")
    assert [part.partition(";dur=")[0] for part in timing.split(", ")] == [
        *("fetch", "decode", "render", "encode", "store"),
    ]
    assert headers.pop("last-modified").endswith("GMT")
    assert headers.pop("etag").strip('"').isalnum()
    assert headers == {
        "content-type": "image/webp",
        "content-length": str(len(response.content)),
        "cache-control": "public, max-age=3600, stale-while-revalidate=86400",
        "accept-ranges": "bytes",
        "content-disposition": 'inline; filename="cat.webp"',
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "vary": "Accept",
        "access-control-allow-origin": "https://shop.example",
        "access-control-expose-headers": "ETag, Content-Length, Server-Timing",
        "cross-origin-resource-policy": "cross-origin",
        "referrer-policy": "same-origin",
    }


@pytest.mark.parametrize(
    ("query", "vary"),
    [("w=11&fm=webp", None), ("w=11", None), ("w=11&fm=auto", "Accept"), ("preset=small", "Accept")],
)
def test_vary_is_exact_also_without_a_body(client: Client, query: str, vary: str | None) -> None:
    url = signed("cat.jpg", query)
    whole = client.get(url)
    assert whole.status_code == 200
    again = client.get(url, headers={"if-none-match": whole.headers["etag"]})
    since = client.get(url, headers={"if-modified-since": whole.headers["last-modified"]})
    head = client.head(url)
    part = client.get(url, headers={"range": "bytes=1-2"})
    assert [item.status_code for item in (again, since, head, part)] == [304, 304, 200, 206]
    assert {item.headers.get("vary") for item in (whole, again, since, head, part)} == {vary}
    for item in (again, since):
        assert item.content == b""
        # It replaces what the client has kept of them, so it must say the same.
        assert {"etag", "cache-control", "access-control-allow-origin"} < set(item.headers)
        assert {name: whole.headers.get(name) for name in item.headers} == dict(item.headers)


def test_a_declared_rendition_has_a_canonical_link(client: Client) -> None:
    response = client.get("/renditions/cat.jpg?fm=WebP&width=10")
    assert response.headers["link"] == '</renditions/cat.jpg/w=10,fm=webp.webp>; rel="canonical"'
    assert "link" not in client.get(signed("cat.jpg", "w=11&fm=webp")).headers


def test_pages_of_the_allowed_origin_may_read_renditions(client: Client) -> None:
    url = "/renditions/cat.jpg/w=10,fm=webp.webp"
    leave = client.request("OPTIONS", url, headers={"origin": "https://shop.example"})
    assert (leave.status_code, leave.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    for path in (url, "/renditions/none", f"{url}?w=1", "/renditions/none.jpg/w=10,fm=webp.webp"):
        response = client.get(path, headers={"origin": "https://evil.example"})
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in response.headers
    for headers in ({"range": "bytes=900-"}, {"if-match": '"x"'}):
        response = client.get(url, headers=headers)
        assert response.headers["access-control-allow-origin"] == "https://shop.example"


def test_without_an_allowed_origin_there_are_no_cors_headers(machine: Machine) -> None:
    machine.settings = replace(machine.settings, cors_origin=None)
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        assert client.request("OPTIONS", "/renditions/cat.jpg").status_code == 405
        response = client.get("/renditions/cat.jpg/w=10,fm=webp.webp")
        assert not [name for name in response.headers if name.startswith(("access-control", "cross-origin"))]


def test_server_timing_tells_that_the_original_is_sent(machine: Machine, client: Client) -> None:
    machine.ingest.put("small.jpg", b"small cat")
    timing = client.get(signed("small.jpg", "w=11&fm=webp")).headers["server-timing"]
    assert timing.split(", ")[-1] == "keep-smaller;desc=kept"
    assert "keep-smaller" not in client.get(signed("cat.jpg", "w=12&fm=webp")).headers["server-timing"]


def test_forwarding_headers_change_nothing(client: Client) -> None:
    url = signed("cat.jpg", "w=11&fm=webp")
    plain = client.get(url)
    games = {
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "https",
        "x-forwarded-for": "169.254.169.254",
        "x-original-url": "/renditions/other",
        "x-rewrite-url": "/health",
        "x-http-method-override": "DELETE",
        "forwarded": "host=evil.example",
        "accept": "image/avif",
        "sec-ch-width": "99",
        "dpr": "3",
        "origin": "https://evil.example",
        "cookie": "a=b",
        "authorization": "Basic x",
    }
    for name, value in games.items():
        response = client.get(url, headers={name: value})
        assert response.content == plain.content, name
        assert {**response.headers, "server-timing": ""} == {**plain.headers, "server-timing": ""}, name


def test_an_endless_request_head_is_rejected(live: httpx.Client) -> None:
    with socket.create_connection((live.base_url.host, live.base_url.port), timeout=30) as connection:
        with suppress(ConnectionError):  # it may be closed before all has been sent
            connection.sendall(b"GET /renditions/cat.jpg HTTP/1.1\r\nx-novel: ")
            for _ in range(100):
                connection.sendall(b"x" * 100_000)
        with suppress(ConnectionError):
            assert connection.makefile("rb").read().startswith((b"HTTP/1.1 4", b""))
    assert live.get("/health").status_code == 200


def test_the_fallback_is_sent_whole_with_the_status_of_the_error(machine: Machine) -> None:
    machine.settings = replace(machine.settings, fallback="sorry.png", allow_unsigned=True)
    machine.ingest.put("sorry.png", b"sorry")
    machine.ingest.put("bad.jpg", b"bad")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for key, status in (("none.jpg", 404), ("bad.jpg", 415)):
            for query in ("w=10&fm=webp", "w=11&fm=webp", "w=11&fm=auto", "w=11"):
                response = client.get(
                    f"/renditions/{key}?{query}", headers={"range": "bytes=0-1", "if-none-match": "*"}
                )
                assert (response.status_code, response.content[-5:]) == (status, b"sorry"), (key, query)
                assert response.headers["cache-control"] == "no-store"
                assert response.headers["content-type"] in {"image/webp", "image/jpeg"}


def test_a_missing_fallback_leaves_the_first_error(machine: Machine) -> None:
    machine.settings = replace(machine.settings, fallback="gone.png", allow_unsigned=True)
    machine.ingest.put("bad.jpg", b"bad")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for query in ("w=10&fm=webp", "w=11&fm=webp", "w=11&fm=auto"):
            response = client.get(f"/renditions/bad.jpg?{query}")
            assert (response.status_code, response.json()["reason"]) == (415, "not-an-image")
