"""One HTTP/1.1 connection to an AWS API: http.client, with a time limit for each whole exchange.

http.client's timeout bounds only each read, so a server that sends a byte every few seconds could
hold a request for hours. Loading http.client and ssl takes 12 ms of a cold start.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from ssl import SSLContext
from typing import IO, Any

from msgspec import Struct

from .endpoints import Endpoint

_BLOCK = 256 * 1024


class Timeouts(Struct, frozen=True):
    """Seconds: to connect, between two reads or writes, and for a request with its whole response."""

    connect: float = 2.0
    silence: float = 10.0
    exchange: float = 300.0


class ProtocolError(OSError):
    """The server sent something other than HTTP, or less than it announced."""


class ResponseStream:
    """A response whose body is read as it arrives. Names of ``headers`` are lower-case; of repeated
    headers the last counts."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.getheaders()}
        self._response = response
        if response.length == 0:
            response.close()

    @property
    def is_unbounded(self) -> bool:
        """Whether the body ends with the connection. Then a whole body cannot be distinguished from a
        part."""
        return self._response.length is None and not self._response.chunked

    @property
    def is_complete(self) -> bool:
        """Whether the body has been read to its end."""
        return self._response.isclosed() and not self._response.length

    def close(self) -> None:
        """End a response before its body has been read: the server's connection ends with it."""
        self._response.close()

    def read(self, max_bytes: int) -> bytes:
        """The next bytes, ``max_bytes`` unless the body ends before; empty at its end. Raises OSError."""
        try:
            block = self._response.read(max_bytes)
        except HTTPException as error:
            raise ProtocolError(f"the body broke off: {type(error).__name__}") from None
        if not block and self._response.length:
            raise ProtocolError(f"the body broke off {self._response.length} bytes before its end")
        return block


class Connection:
    """A connection to ``endpoint``. Requests follow one another, each after the whole response before
    it. ``tls`` is needed for an https endpoint."""

    def __init__(self, endpoint: Endpoint, tls: SSLContext | None, timeouts: Timeouts) -> None:
        options: dict[str, Any] = {"timeout": timeouts.connect, "blocksize": _BLOCK}
        self._http = (
            HTTPSConnection(endpoint.host, context=tls, **options)
            if tls is not None
            else HTTPConnection(endpoint.host, **options)
        )
        self._timeouts = timeouts
        self._needs_length = True

    @classmethod
    def over(cls, sock: socket, timeouts: Timeouts) -> Connection:
        """A connection over an open socket. A response may also end with it, see `is_unbounded`."""
        connection = cls(Endpoint("http", "localhost"), None, timeouts)
        connection._http.sock = sock
        connection._needs_length = False
        return connection

    @property
    def is_open(self) -> bool:
        """Whether the server keeps the connection for another request."""
        return self._http.sock is not None

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | IO[bytes] | None,
        *,
        seconds: float = math.inf,
    ) -> ResponseStream:
        """Send a request and read the head of its response.

        ``target`` is escaped; ``headers`` include host and content-length. ``seconds`` limits this exchange
        further. Raises OSError:
        ConnectionError where the server closed the connection before it answered, TimeoutError,
        ProtocolError.
        """
        if self._http.sock is None:
            self._http.connect()
        deadline = time.monotonic() + min(self._timeouts.exchange, seconds)
        limit_time = partial(_limit_time, self._http.sock, self._timeouts.silence, deadline)
        self._http.response_class = partial(_TimedResponse, limit_time)  # type: ignore[assignment] # a factory
        limit_time()
        content = body if body is None or isinstance(body, bytes) else _blocks(body, limit_time)
        try:
            self._http.request(method, target, content, dict(headers))
            response = self._http.getresponse()
        except ConnectionError:  # of http.client's RemoteDisconnected, which is an HTTPException too
            raise
        except HTTPException as error:
            raise ProtocolError(f"the response is no HTTP: {type(error).__name__}") from None
        stream = ResponseStream(response)
        if self._needs_length and stream.is_unbounded:
            raise ProtocolError("expected a content-length")
        return stream


def _blocks(file: IO[bytes], before_send: Callable[[], None]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        before_send()
        yield block


def _limit_time(sock: socket, silence: float, deadline: float) -> None:
    """Let the next operation on ``sock`` take ``silence`` seconds, but not go beyond ``deadline``."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("the exchange took too long")
    sock.settimeout(min(silence, remaining))


class _TimedResponse(HTTPResponse):
    """Calls ``before_read`` before each read of the socket."""

    def __init__(
        self, before_read: Callable[[], None], sock: socket, *arguments: Any, **options: Any
    ) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = _BoundedReader(_TimedReader(self.fp.detach(), before_read))


class _BoundedReader(BufferedReader):
    """Reads no more bytes than requested. http.client takes a negative size of a chunk as a number of bytes
    to read, and -1 of them are all that the server ever sends."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise ProtocolError("expected the size of a chunk, got a negative number")
        return super().read(size)


class _TimedReader(RawIOBase):
    def __init__(self, raw: Any, before_read: Callable[[], None]) -> None:
        self._raw = raw
        self._before_read = before_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._before_read()
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
