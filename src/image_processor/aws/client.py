"""Signed requests to one AWS API, over kept connections, with timeouts and retries.

Serves DynamoDB, CloudFront, and S3 where obstore cannot express the request. It is our own because
loading boto3 and building a client takes 170 ms of a cold start, and this with http.client 20 ms.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import inf
from typing import IO, TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from image_processor.domain.errors import Unavailable
from image_processor.domain.hashing import sha256_hex

from .credentials import GetCredentials
from .endpoints import Endpoint
from .retries import PATIENT, Backoff, Retries
from .signature import Scope, Sign, escape_path, escape_query, signed_headers

if TYPE_CHECKING:
    from ssl import SSLContext

    from .connection import Connection, ResponseStream, Timeouts

# Of S3, 503 is "Slow Down" ("Best practices design patterns: optimizing Amazon S3 performance").
_THROTTLED_STATUSES = frozenset({429, 503})
_BLOCK = 256 * 1024
_AGREEMENT = timedelta(seconds=5)
"""Clocks that differ by less agree: a response shows seconds, and takes some time."""

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
    """``path`` and ``query`` are unescaped; names of ``headers`` are lower-case. ``escaped`` says that
    ``path`` is escaped already, as one must be that has a slash within a segment."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = EMPTY_BODY
    escaped: bool = False


class HttpResponse(Struct, frozen=True):
    """A complete response. Names of ``headers`` are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Failure(Struct, frozen=True):
    """Why an attempt is worth another one."""

    reason: str
    is_throttled: bool = False


class Client:
    """One API at one endpoint. Safe for threads: each running request has a connection of its own,
    and up to ``max_idle`` are kept for later ones.

    A request may be sent more than once, so it must be idempotent. ``clock_error`` is how much this machine's
    clock is ahead of that of the API, as of the last response: zero if they agree within seconds.
    """

    _sign: Sign = staticmethod(signed_headers)

    def __init__(
        self,
        endpoint: Endpoint,
        scope: Scope,
        credentials: GetCredentials,
        *,
        timeouts: Timeouts | None = None,
        max_idle: int = 8,
        retries: Retries = PATIENT,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._scope = scope
        self._credentials = credentials
        self._timeouts = timeouts
        self._idle: deque[Connection] = deque(maxlen=max_idle)
        self._retries = retries
        self._sleep = sleep or time.sleep
        self.clock_error = timedelta()

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

        Retries after failed connections, server errors, status 429 and where ``is_throttled`` says so, as
        often and as long as ``retries`` allows. Raises Unavailable after the last attempt.
        """

        def attempt() -> HttpResponse | _Failure:
            connection, stream = self._start(request)
            try:
                response = HttpResponse(stream.status, stream.headers, _read_all(stream))
            finally:
                self._release(connection, stream)
            if is_throttled(response):
                return _Failure(f"throttled, status {response.status}", is_throttled=True)
            return _failure_of(response.status) or response

        return self._with_retries(attempt)

    @contextmanager
    def stream(self, request: Request) -> Iterator[ResponseStream]:
        """The response with its body unread, for the duration of the context. Retries and raises as
        `send`; reading the body raises OSError."""

        def attempt() -> tuple[Connection, ResponseStream] | _Failure:
            connection, stream = self._start(request)
            failure = _failure_of(stream.status)
            if failure is None:
                return connection, stream
            connection.close()
            return failure

        connection, stream = self._with_retries(attempt)
        try:
            yield stream
        finally:
            self._release(connection, stream)

    def _with_retries(self, attempt: Callable[[], Result | _Failure]) -> Result:
        """The first result of ``attempt`` that is no failure."""
        backoff = Backoff(self._retries)
        while isinstance(result := _tried(attempt), _Failure):
            pause = backoff.pause(is_throttled=result.is_throttled, random=_random())
            if pause is None:
                tries = f"{backoff.attempts} tries"
                raise Unavailable(f"{self._scope.api} cannot answer: {result.reason} after {tries}")
            self._sleep(pause)
        return result

    def back_off(self) -> Iterator[None]:
        """Yields before each repetition of a request that was answered in part only, after a pause as for
        throttling. Raises Unavailable after the last attempt."""
        backoff = Backoff(self._retries)
        while (pause := backoff.pause(is_throttled=True, random=_random())) is not None:
            self._sleep(pause)
            yield
        raise Unavailable(f"{self._scope.api} cannot answer: it left parts of a batch unprocessed")

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
        path = self._endpoint.path + request.path
        target = path if request.escaped else escape_path(path)
        if request.query:
            target += "?" + escape_query(request.query.items())
        headers = self._sign(
            request.method,
            target,
            {**request.headers, "host": self._endpoint.host},
            request.body.sha256,
            self._scope,
            self._credentials(),
            _now(),
        )
        headers["content-length"] = str(request.body.size)
        content = request.body.content
        if not isinstance(content, bytes):
            content.seek(0)
        try:
            deadline = self._retries.deadline
            seconds = inf if deadline is None else deadline.remaining
            stream = connection.request(request.method, target, headers, content, seconds=seconds)
        except BaseException:
            connection.close()
            raise
        self._compare_clocks(stream.headers.get("date", ""))
        return stream

    def _compare_clocks(self, date: str) -> None:
        """Note what the ``date`` of a response says of this machine's clock."""
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - http.client has loaded it

        with suppress(ValueError, TypeError):  # no date; one without a time zone
            error = _now() - parsedate_to_datetime(date)
            self.clock_error = error if abs(error) > _AGREEMENT else timedelta()

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


def _tried(attempt: Callable[[], Result | _Failure]) -> Result | _Failure:
    try:
        return attempt()
    except OSError as error:
        return _Failure(type(error).__name__)


def _failure_of(status: int) -> _Failure | None:
    if status in _THROTTLED_STATUSES:
        return _Failure(f"status {status}", is_throttled=True)
    return _Failure(f"status {status}") if status >= 500 else None


def _now() -> datetime:
    return datetime.now(UTC)


def _random() -> float:
    from random import random  # noqa: PLC0415 - 3 ms that only a retry needs

    return random()  # noqa: S311 - spreads retries, no secret
