"""Signed requests to one AWS API, over kept connections, with timeouts and retries.

Serves DynamoDB, CloudFront, and S3 where obstore cannot express the request. It is our own because
loading boto3 and building a client takes 170 ms of a cold start, and this with http.client 20 ms.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from image_processor.domain.errors import Unavailable
from image_processor.domain.hashing import sha256_hex

from .credentials import GetCredentials
from .endpoints import Endpoint
from .signature import Scope, escape_path, escape_query, signed_headers

if TYPE_CHECKING:
    from ssl import SSLContext

    from .connection import Connection, ResponseStream, Timeouts

_ATTEMPTS = 4
_FIRST_PAUSE = 0.05
_TOO_MANY_REQUESTS = 429
_BLOCK = 256 * 1024
_MAX_BODY = 64 * 1024 * 1024
"""Bytes of a response that `Client.send` holds in memory. DynamoDB's longest has 16 MiB."""

Result = TypeVar("Result")


class Body(Struct, frozen=True):
    """The body of a request: bytes, or an open file, with its size and SHA-256 in hexadecimal."""

    content: bytes | IO[bytes]
    size: int
    sha256: str

    @classmethod
    def from_bytes(cls, content: bytes) -> Body:
        return cls(content, len(content), sha256_hex(content))


EMPTY_BODY = Body.from_bytes(b"")


class Request(Struct, frozen=True):
    """``path`` and ``query`` are unescaped; names of ``headers`` are lower-case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = EMPTY_BODY


class HttpResponse(Struct, frozen=True):
    """A complete response. Names of ``headers`` are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One API at one endpoint. Safe for threads: each running request has a connection of its own,
    and up to ``max_idle`` are kept for later ones.

    A request may be sent more than once, so it must be idempotent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scope: Scope,
        credentials: GetCredentials,
        *,
        timeouts: Timeouts | None = None,
        max_idle: int = 8,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._scope = scope
        self._credentials = credentials
        self._timeouts = timeouts
        self._idle: deque[Connection] = deque(maxlen=max_idle)
        self._sleep = sleep

    def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        # Stores have no close().
        self.close()

    def send(
        self, request: Request, *, is_throttled: Callable[[HttpResponse], bool] = lambda _: False
    ) -> HttpResponse:
        """The complete response, whatever its status.

        Retries after failed connections, server errors, status 429 and where ``is_throttled`` says so.
        Raises Unavailable after the last attempt.
        """

        def attempt() -> HttpResponse | str:
            connection, stream = self._start(request)
            try:
                response = HttpResponse(stream.status, stream.headers, _read_all(stream))
            finally:
                self._release(connection, stream)
            if _is_busy(response.status) or is_throttled(response):
                return f"status {response.status}"
            return response

        return self._with_retries(attempt)

    @contextmanager
    def stream(self, request: Request) -> Iterator[ResponseStream]:
        """The response with its body unread, for the duration of the context. Retries and raises as
        `send`; reading the body raises OSError."""

        def attempt() -> tuple[Connection, ResponseStream] | str:
            connection, stream = self._start(request)
            if not _is_busy(stream.status):
                return connection, stream
            connection.close()
            return f"status {stream.status}"

        connection, stream = self._with_retries(attempt)
        try:
            yield stream
        finally:
            self._release(connection, stream)

    def _with_retries(self, attempt: Callable[[], Result | str]) -> Result:
        """The first result of ``attempt`` that is not a text; a text is the reason to try again."""
        failure = ""
        for number in range(_ATTEMPTS):
            if number:
                self._sleep(_jitter() * _FIRST_PAUSE * 2**number)
            try:
                result = attempt()
            except OSError as error:
                result = type(error).__name__
            if not isinstance(result, str):
                return result
            failure = result
        raise Unavailable(f"{self._scope.api} cannot answer: {failure} after {_ATTEMPTS} tries")

    def _start(self, request: Request) -> tuple[Connection, ResponseStream]:
        """Send the request over a kept connection or a new one, and read the response's head."""
        from .connection import Connection, Timeouts  # noqa: PLC0415 - http.client: 12 ms that deliver rarely needs

        try:
            kept = self._idle.pop()
        except IndexError:
            kept = None
        if kept is not None:
            try:
                return kept, self._request(kept, request)
            except ConnectionError:
                pass  # the server had closed the idle connection, which is no failure
        new = Connection(self._endpoint, self._tls, self._timeouts or Timeouts())
        return new, self._request(new, request)

    def _release(self, connection: Connection, stream: ResponseStream) -> None:
        """Keep the connection for another request, unless a part of the response is left in it."""
        if connection.is_open and stream.is_complete and len(self._idle) < (self._idle.maxlen or 0):
            self._idle.append(connection)
        else:
            connection.close()

    def _request(self, connection: Connection, request: Request) -> ResponseStream:
        target = escape_path(self._endpoint.path + request.path)
        if request.query:
            target += "?" + escape_query(request.query.items())
        headers = signed_headers(
            request.method,
            target,
            {**request.headers, "host": self._endpoint.host},
            request.body.sha256,
            self._scope,
            self._credentials(),
            datetime.now(UTC),
        )
        headers["content-length"] = str(request.body.size)
        content = request.body.content
        if not isinstance(content, bytes):
            content.seek(0)
        try:
            return connection.request(request.method, target, headers, content)
        except BaseException:
            connection.close()
            raise

    @cached_property
    def _tls(self) -> SSLContext | None:
        """One context for all connections: creating it reads some 140 root certificates."""
        if self._endpoint.scheme != "https":
            return None
        import ssl  # noqa: PLC0415 - with the certificates 15 ms, only once a request is sent

        return ssl.create_default_context()


def _read_all(stream: ResponseStream) -> bytes:
    """The body. Raises OSError, also above _MAX_BODY bytes."""
    blocks: list[bytes] = []
    total = 0
    while block := stream.read(_BLOCK):
        total += len(block)
        if total > _MAX_BODY:
            raise OSError(f"expected at most {_MAX_BODY} bytes in a response")
        blocks.append(block)
    return b"".join(blocks)


def _is_busy(status: int) -> bool:
    return status >= 500 or status == _TOO_MANY_REQUESTS


def _jitter() -> float:
    from random import random  # noqa: PLC0415 - 3 ms that only a retry needs

    return random()  # noqa: S311 - spreads retries, no secret
