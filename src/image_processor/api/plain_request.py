"""Reads the head of simple requests, as browsers and proxies send them for images, without an HTTP parser.

Only what has one meaning is read, and the same one that h11 gives it: a complete GET or HEAD in origin form
without a body, whose header lines are ASCII and appear once. Everything else is left to h11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from .request_id import HEADER, request_id_of

MAX_HEAD = 8192
"""Bytes of the longest head that is read here."""

_CACHED_BLOCKS = 1024
"""How many different header blocks are remembered: clients send the same one with each request."""

_REQUEST_LINE = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1")
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER_LINE = re.compile(rb"(" + _TOKEN + rb"):([\t -~]*)\r\n")

_LEFT_TO_H11 = frozenset({"content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer"})

_CONDITIONS = (
    *("if-match", "if-unmodified-since", "if-none-match", "if-modified-since"),
    *("range", "if-range"),
)
"""The headers that decide which part of a rendition is sent, and whether."""


class PlainHeaders(Struct, frozen=True):
    """The headers of a request by lower-case name, and the values of those that are conditions."""

    by_name: Mapping[str, str]
    host: str
    conditions: tuple[str | None, ...]


class PlainRequest(Struct, frozen=True):
    """A GET or HEAD. ``target`` is the undecoded path and query."""

    method: str
    target: bytes
    headers: PlainHeaders


def parse_plain_request(data: bytes) -> PlainRequest | None:
    """The request whose head is exactly ``data``; None if it has to be read by h11."""
    if len(data) > MAX_HEAD or not data.endswith(b"\r\n\r\n"):
        return None
    line, _, block = data.partition(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    headers = _parse_headers(block) if match else None
    if match is None or headers is None:
        return None
    method, target = match.groups()
    return PlainRequest("GET" if method == b"GET" else "HEAD", target, headers)


def identify(request: PlainRequest) -> tuple[str, bytes]:
    """The id of ``request``, and the header of its response with it."""
    id_ = request_id_of(request.headers.by_name.get(HEADER))
    return id_, f"{HEADER}: {id_}\r\n".encode()


@lru_cache(_CACHED_BLOCKS)
def _parse_headers(block: bytes) -> PlainHeaders | None:
    """The headers of a block that ends with an empty line."""
    by_name: dict[str, str] = {}
    position = 0
    while match := _HEADER_LINE.match(block, position):
        name = match[1].decode().lower()
        if name in by_name or name in _LEFT_TO_H11:
            return None
        by_name[name] = match[2].decode().strip(" \t")
        position = match.end()
    if block[position:] != b"\r\n" or "host" not in by_name:
        return None
    if by_name.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    return PlainHeaders(by_name, by_name["host"], tuple(by_name.get(name) for name in _CONDITIONS))
