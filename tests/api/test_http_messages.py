"""Requests that proxies and servers may understand in different ways (RFC 9112), over raw sockets."""

from __future__ import annotations

import re
import socket

import pytest

Address = tuple[str, int]
FOLLOWING = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request that a proxy may have taken for a part of the one before it."""


def exchange(address: Address, sent: bytes) -> tuple[list[int], bytes]:
    """The statuses of all responses until the server closes the connection, and what it sent."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)], received


def post(*headers: str, body: str = "", target: str = "/images", version: str = "1.1") -> bytes:
    head = [f"POST {target} HTTP/{version}", "Host: localhost", "Content-Type: application/json", *headers]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked"
AMBIGUOUS = {
    "both lengths": post("Content-Length: 5", CHUNKED, body="0\r\n\r\n"),
    "both, the other order": post(CHUNKED, "Content-Length: 5", body="0\r\n\r\n"),
    "both, of HTTP/1.0": post("Content-Length: 5", CHUNKED, body="0\r\n\r\n", version="1.0"),
    "two lengths": post("Content-Length: 0", "Content-Length: 5", body="{}   "),
    "a list of lengths": post("Content-Length: 0, 5", body="{}   "),
    "a signed length": post("Content-Length: +0"),
    "a hexadecimal length": post("Content-Length: 0x0"),
    "identity": post("Transfer-Encoding: identity"),
    "chunked twice": post(CHUNKED, CHUNKED, body="0\r\n\r\n"),
    "chunked, then identity": post("Transfer-Encoding: chunked, identity", body="0\r\n\r\n"),
    "an unknown coding": post("Transfer-Encoding: xchunked", body="0\r\n\r\n"),
    "a space before the colon": post("Transfer-Encoding : chunked", body="0\r\n\r\n"),
    "a tab before the coding's end": post("Transfer-Encoding: chunked\x0b", body="0\r\n\r\n"),
    "two hosts": post("Host: example.org", "Content-Length: 0"),
    "a bare CR in a header": post("X: a\rTransfer-Encoding: chunked", "Content-Length: 0"),
    "a NUL in a header": post("X: a\0b", "Content-Length: 0"),
    "a chunk without its end": post(CHUNKED, body="1\r\nxx0\r\n\r\n"),
    "a signed chunk": post(CHUNKED, body="+0\r\n\r\n"),
    "a port and no path": post("Content-Length: 0", target="localhost:80"),
    "another scheme": post("Content-Length: 0", target="ftp://localhost/images"),
    "a user in the target": post("Content-Length: 0", target="http://a@localhost/images"),
}


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_ambiguous_request_is_400_and_closes_the_connection(address: Address, request_: bytes) -> None:
    statuses, received = exchange(address, request_ + FOLLOWING)
    assert statuses == [400]
    assert b"connection: close" in received.lower()


def get(target: str, host: str = "localhost") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/recipe", 200),
        ("HTTP://LOCALHOST:1234/recipe", 200),
        ("http://localhost/images?limit=1", 200),
        ("http://localhost/images?limit=x", 400),
        ("http://localhost", 200),
        ("http://localhost?a=b", 200),
        ("http://localhost//recipe", 404),
        ("http://elsewhere.example/recipe", 421),
    ],
)
def test_an_absolute_target_is_understood(address: Address, target: str, status: int) -> None:
    assert exchange(address, get(target))[0] == [status]


def test_of_an_absolute_target_the_host_counts_and_not_the_header(address: Address) -> None:
    """RFC 9112, 3.2.2. So a name that the server does not have is refused wherever it is written."""
    assert exchange(address, get("http://localhost/recipe", host="elsewhere.example"))[0] == [200]
    assert exchange(address, get("http://elsewhere.example/recipe", host="localhost"))[0] == [421]


def test_an_absolute_target_of_a_rendition_is_the_same_rendition(address: Address) -> None:
    with_path = exchange(address, get("/renditions/a%2Fb/w=1"))
    assert exchange(address, get("http://localhost/renditions/a%2Fb/w=1"))[0] == with_path[0]


@pytest.mark.parametrize(
    "sent",
    [
        get("/recipe").replace(b"\r\n", b"\n"),
        get("/recipe").replace(b"close", b"\r\n close"),
        get("/recipe").replace(b"Connection", b"Content-Length: 0\r\nContent-Length: 0\r\nConnection"),
    ],
    ids=["bare LF", "a folded line", "the same length twice"],
)
def test_what_the_rfc_allows_servers_to_accept_is_one_request(address: Address, sent: bytes) -> None:
    """RFC 9112, 2.2, 5.2 and 6.3: each has one meaning only."""
    assert exchange(address, sent)[0] == [200]


def test_two_requests_of_one_connection_are_two(address: Address) -> None:
    statuses, _ = exchange(address, post("Content-Length: 2", body="{}") + FOLLOWING + get("/recipe"))
    assert statuses == [400, 404, 200]
