"""The headers of any rendition by URL: every one of them, for every kind of answer (promise 43)."""

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
def test_a_hostile_name_stays_a_name(machine: Machine, live: httpx.Client, key: str) -> None:
    machine.room.put(key, b"cat")
    answer = live.get(signed(key, "w=11&fm=webp"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    told = answer.headers["content-disposition"]
    assert told.startswith('inline; filename="')
    assert told.isascii()
    assert told.count('"') == 2
    assert ".webp" in told
    assert "x-evil" not in answer.headers
    plain = told.split('"')[1]
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._- ")


def test_headers_of_a_rendition_on_demand(client: Client) -> None:
    """Promise 43: all of them, so that none comes unnoticed."""
    answer = client.get(signed("cat.jpg", "w=11&fm=auto"), headers={"accept": "image/webp"})
    assert (answer.status_code, answer.content) == (200, b"w=11,fm=webp of cat")
    told = dict(answer.headers)
    timing = told.pop("server-timing")
    assert [part.partition(";dur=")[0] for part in timing.split(", ")] == [
        *("fetch", "decode", "render", "encode", "store"),
    ]
    assert told.pop("last-modified").endswith("GMT")
    assert told.pop("etag").strip('"').isalnum()
    assert told == {
        "content-type": "image/webp",
        "content-length": str(len(answer.content)),
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
def test_vary_is_exact_also_where_nothing_is_sent(client: Client, query: str, vary: str | None) -> None:
    url = signed("cat.jpg", query)
    whole = client.get(url)
    assert whole.status_code == 200
    again = client.get(url, headers={"if-none-match": whole.headers["etag"]})
    since = client.get(url, headers={"if-modified-since": whole.headers["last-modified"]})
    head = client.head(url)
    part = client.get(url, headers={"range": "bytes=1-2"})
    assert [each.status_code for each in (again, since, head, part)] == [304, 304, 200, 206]
    assert {each.headers.get("vary") for each in (whole, again, since, head, part)} == {vary}
    for each in (again, since):
        assert each.content == b""
        # It replaces what the client has kept of them, so it must say the same.
        assert {"etag", "cache-control", "access-control-allow-origin"} < set(each.headers)
        assert {name: whole.headers.get(name) for name in each.headers} == dict(each.headers)


def test_the_canonical_address_of_a_declared_rendition_is_told(client: Client) -> None:
    answer = client.get("/renditions/cat.jpg?fm=WebP&width=10")
    assert answer.headers["link"] == '</renditions/cat.jpg/w=10,fm=webp.webp>; rel="canonical"'
    assert "link" not in client.get(signed("cat.jpg", "w=11&fm=webp")).headers


def test_pages_of_the_allowed_origin_may_read(client: Client) -> None:
    url = "/renditions/cat.jpg/w=10,fm=webp.webp"
    leave = client.request("OPTIONS", url, headers={"origin": "https://shop.example"})
    assert (leave.status_code, leave.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    for path in (url, "/renditions/none", f"{url}?w=1", "/renditions/none.jpg/w=10,fm=webp.webp"):
        answer = client.get(path, headers={"origin": "https://evil.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in answer.headers
    for headers in ({"range": "bytes=900-"}, {"if-match": '"x"'}):
        answer = client.get(url, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"


def test_where_no_origin_is_allowed_nothing_is_said_of_it(machine: Machine) -> None:
    machine.settings = replace(machine.settings, cors_origin=None)
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        assert client.request("OPTIONS", "/renditions/cat.jpg").status_code == 405
        answer = client.get("/renditions/cat.jpg/w=10,fm=webp.webp")
        assert not [name for name in answer.headers if name.startswith(("access-control", "cross-origin"))]


def test_headers_that_proxies_and_attackers_send_change_nothing(client: Client) -> None:
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
        answer = client.get(url, headers={name: value})
        assert answer.content == plain.content, name
        assert {**answer.headers, "server-timing": ""} == {**plain.headers, "server-timing": ""}, name


def test_a_head_that_never_ends_is_turned_away(live: httpx.Client) -> None:
    with socket.create_connection((live.base_url.host, live.base_url.port), timeout=30) as connection:
        with suppress(ConnectionError):  # it may be closed before all has been sent
            connection.sendall(b"GET /renditions/cat.jpg HTTP/1.1\r\nx-novel: ")
            for _ in range(100):
                connection.sendall(b"x" * 100_000)
        with suppress(ConnectionError):
            assert connection.makefile("rb").read().startswith((b"HTTP/1.1 4", b""))
    assert live.get("/health").status_code == 200


def test_the_fallback_is_shown_whole_and_under_the_status_of_the_error(machine: Machine) -> None:
    machine.settings = replace(machine.settings, fallback="sorry.png", allow_unsigned=True)
    machine.room.put("sorry.png", b"sorry")
    machine.room.put("bad.jpg", b"bad")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for key, status in (("none.jpg", 404), ("bad.jpg", 415)):
            for query in ("w=10&fm=webp", "w=11&fm=webp", "w=11&fm=auto", "w=11"):
                answer = client.get(
                    f"/renditions/{key}?{query}", headers={"range": "bytes=0-1", "if-none-match": "*"}
                )
                assert (answer.status_code, answer.content[-5:]) == (status, b"sorry"), (key, query)
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["content-type"] in {"image/webp", "image/jpeg"}


def test_a_fallback_that_is_missing_too_leaves_the_first_error(machine: Machine) -> None:
    machine.settings = replace(machine.settings, fallback="gone.png", allow_unsigned=True)
    machine.room.put("bad.jpg", b"bad")
    with asyncio.Runner() as runner:
        client = Client(machine.app(), runner)
        for query in ("w=10&fm=webp", "w=11&fm=webp", "w=11&fm=auto"):
            answer = client.get(f"/renditions/bad.jpg?{query}")
            assert (answer.status_code, answer.json()["reason"]) == (415, "not-an-image")
