"""AWS room: HTTP/1.1 as AWS's APIs speak it: one request after the other over a kept connection.

http.client would do, but loads `email` for a dozen header lines, a tenth of a cold start. What is no
plain HTTP counts as a broken connection, and is asked again (docs/adr/0007).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import IO, TYPE_CHECKING

from .endpoints import Endpoint

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
_LONGEST_LINE = 64 * 1024
_MOST_HEADERS = 100
_MOST_INTERIM = 10
_MOST_CHUNKED = 64 * 1024 * 1024
"""Bytes of a body that does not tell its length: it is held whole. DynamoDB's longest has 16 MiB."""
_BLOCK = 256 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*")
_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?")
_LENGTH = re.compile("[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BODILESS = frozenset({204, 304})


class Garbled(OSError):
    """What came is no HTTP, or ends before its end."""


class Response:
    """An answer whose body is read as it comes. Names of ``headers`` are lower-case; of several of one
    name, the last counts. ``left`` is how many bytes of ``body`` have not been read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: IO[bytes], left: int) -> None:
        self.status = status
        self.headers = headers
        self.left = left
        self._body = body

    def read(self, most: int | None = None) -> bytes:
        """The next bytes, all that are left without ``most``. Raises OSError."""
        wanted = self.left if most is None else min(most, self.left)
        found = self._body.read(wanted)
        self.left -= len(found)
        if len(found) < wanted:
            raise Garbled(f"expected {wanted} bytes, got {len(found)}")
        return found


class Connection:
    """One connection to ``endpoint``. ``seconds`` is how long its silence is borne, ``kept`` tells
    whether another request may follow."""

    def __init__(self, endpoint: Endpoint, tls: SSLContext | None, *, seconds: float = READ_SECONDS) -> None:
        self.kept = True
        host, port = _address(endpoint)
        sock = socket.create_connection((host, port), CONNECT_SECONDS)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = tls.wrap_socket(sock, server_hostname=host) if tls else sock
        except BaseException:
            sock.close()
            raise
        self._socket.settimeout(seconds)
        self._answers = self._socket.makefile("rb")

    def close(self) -> None:
        self.kept = False
        self._answers.close()
        self._socket.close()

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes | IO[bytes]
    ) -> Response:
        """Send a request whose headers tell the length of ``content``, and wait for the beginning of its
        answer. The answer before must have been read to its end. Raises OSError."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any(map(_CONTROL.search, lines)):
            raise ValueError("expected header lines without control characters")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if isinstance(content, bytes):
            self._socket.sendall(head + content)
        else:
            self._socket.sendall(head)
            while block := content.read(_BLOCK):
                self._socket.sendall(block)
        response = _read(self._answers, method)
        self.kept = response.headers.get("connection", "").lower() != "close"
        return response


def _address(endpoint: Endpoint) -> tuple[str, int]:
    host, colon, port = endpoint.host.rpartition(":")
    if colon and port.isdigit():
        return host.strip("[]"), int(port)
    return endpoint.host.strip("[]"), 443 if endpoint.scheme == "https" else 80


def _read(answers: IO[bytes], method: str) -> Response:
    status, headers = _final_head(answers)
    if method == "HEAD" or status in _BODILESS:
        return Response(status, headers, answers, 0)
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise Garbled("expected no transfer encoding but chunked")
        body = b"".join(_chunks(answers))
        return Response(status, headers, BytesIO(body), len(body))
    length = headers.get("content-length", "")
    if not _LENGTH.fullmatch(length):
        raise Garbled("expected a content-length")
    return Response(status, headers, answers, int(length))


def _final_head(answers: IO[bytes]) -> tuple[int, dict[str, str]]:
    for _ in range(_MOST_INTERIM):
        status, headers = _head(answers)
        if status >= 200:
            return status, headers
    raise Garbled("expected an answer after those that announce one")


def _head(answers: IO[bytes]) -> tuple[int, dict[str, str]]:
    line = answers.readline(_LONGEST_LINE)
    if not line:
        raise ConnectionResetError("the connection was closed without an answer")
    status = _STATUS.fullmatch(_stripped(line))
    if status is None:
        raise Garbled("expected a status line")
    return int(status[1]), dict(_headers(answers))


def _headers(answers: IO[bytes]) -> Iterator[tuple[str, str]]:
    for _ in range(_MOST_HEADERS):
        line = _stripped(answers.readline(_LONGEST_LINE))
        if not line:
            return
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Garbled("expected a header")
        yield header[1].decode("ascii").lower(), header[2].decode("latin-1")
    raise Garbled(f"expected at most {_MOST_HEADERS} headers")


def _chunks(answers: IO[bytes]) -> Iterator[bytes]:
    total = 0
    while True:
        size = _SIZE.fullmatch(_stripped(answers.readline(_LONGEST_LINE)))
        if size is None:
            raise Garbled("expected the size of a chunk")
        length = int(size[1], 16)
        total += length
        if total > _MOST_CHUNKED:
            raise Garbled(f"expected at most {_MOST_CHUNKED} bytes")
        if not length:
            break
        yield _exactly(answers, length)
        if _stripped(answers.readline(_LONGEST_LINE)):
            raise Garbled("expected the end of a chunk")
    dict(_headers(answers))  # trailers


def _exactly(answers: IO[bytes], length: int) -> bytes:
    return Response(0, {}, answers, length).read()


def _stripped(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        raise Garbled("expected a line's end")
    return line.removesuffix(b"\n").removesuffix(b"\r")
