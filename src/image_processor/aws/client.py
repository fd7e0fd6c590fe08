"""AWS room: signed requests over kept connections, with timeouts and retries.

Serves DynamoDB, SQS, CloudFront, and S3 where obstore cannot say what we mean. Starts many times
faster than the SDKs (docs/adr/0007).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, TypeVar

from msgspec import Struct, field

from image_processor.domain.errors import Unavailable
from image_processor.domain.hashing import sha256_hex

from .credentials import GetCredentials
from .endpoints import Endpoint
from .signature import Scope, escape_path, escape_query, signed_headers
from .wire import Connection, Garbled, Response

_TRIES = 4
_FIRST_PAUSE = 0.05
_TOO_MANY_REQUESTS = 429

if TYPE_CHECKING:
    from ssl import SSLContext

Result = TypeVar("Result")


class Body(Struct, frozen=True):
    """Bytes to send, or an open file whose size and SHA-256 (hexadecimal) are known."""

    content: bytes | IO[bytes]
    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Body:
        return cls(content, len(content), sha256_hex(content))


NOTHING = Body.of(b"")


class Request(Struct, frozen=True):
    """``path`` and ``query`` are unescaped; names of ``headers`` are lower-case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = NOTHING


class Answer(Struct, frozen=True):
    """A whole response. Names of ``headers`` are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One API at one endpoint. Safe for threads; a request in work has a connection of its
    own, and up to ``idle`` are kept for the next ones.

    Every request may be sent twice: it must be one whose repetition does no harm.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        scope: Scope,
        credentials: GetCredentials,
        *,
        idle: int = 8,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._idle: deque[Connection] = deque(maxlen=idle)
        self._endpoint = endpoint
        self._scope = scope
        self._credentials = credentials
        self._pause = pause
        self._tls = _tls() if endpoint.scheme == "https" else None

    def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        # A store has nobody who closes it.
        self.close()

    def send(self, request: Request, *, throttled: Callable[[Answer], bool] = lambda _: False) -> Answer:
        """The whole answer, whatever its status. Raises Unavailable after the last try that got
        none, or only a server error or one that ``throttled`` says to wait for."""

        def attempt() -> Answer | str:
            with self._exchange(request) as response:
                answer = Answer(response.status, response.headers, response.read())
            again = _is_busy(answer.status) or throttled(answer)
            return f"status {answer.status}" if again else answer

        return self._persist(attempt)

    @contextmanager
    def open(self, request: Request) -> Iterator[Response]:
        """The response with its body unread, for as long as the context lasts. Raises as `send`."""

        def attempt() -> tuple[Connection, Response] | str:
            connection, response = self._begin(request)
            if not _is_busy(response.status):
                return connection, response
            connection.close()
            return f"status {response.status}"

        connection, response = self._persist(attempt)
        try:
            yield response
        finally:
            self._end(connection, response)

    def _persist(self, attempt: Callable[[], Result | str]) -> Result:
        """The first result of ``attempt`` that is no text; a text says why to try again."""
        failure = ""
        for number in range(_TRIES):
            if number:
                self._pause(_jitter() * _FIRST_PAUSE * 2**number)
            try:
                result = attempt()
            except OSError as error:
                result = type(error).__name__
            if not isinstance(result, str):
                return result
            failure = result
        raise Unavailable(f"{self._scope.api} cannot answer: {failure} after {_TRIES} tries")

    @contextmanager
    def _exchange(self, request: Request) -> Iterator[Response]:
        connection, response = self._begin(request)
        try:
            yield response
        finally:
            self._end(connection, response)

    def _begin(self, request: Request) -> tuple[Connection, Response]:
        try:
            kept = self._idle.pop()
        except IndexError:
            kept = None
        if kept is not None:
            try:
                return kept, self._ask(kept, request)
            except (ConnectionError, Garbled):
                kept.close()  # the server had closed it meanwhile: no failure yet
        fresh = Connection(self._endpoint, self._tls)
        return fresh, self._ask(fresh, request)

    def _end(self, connection: Connection, response: Response) -> None:
        """Keep the connection for the next request, unless bytes of this one are left in it."""
        if connection.kept and not response.left and len(self._idle) < (self._idle.maxlen or 0):
            self._idle.append(connection)
        else:
            connection.close()

    def _ask(self, connection: Connection, request: Request) -> Response:
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
        content = request.body.content
        if not isinstance(content, bytes):
            content.seek(0)
        try:
            headers["content-length"] = str(request.body.size)
            return connection.ask(request.method, target, headers, content)
        except BaseException:
            connection.close()
            raise


def _is_busy(status: int) -> bool:
    return status >= 500 or status == _TOO_MANY_REQUESTS


def _tls() -> SSLContext:
    import ssl  # noqa: PLC0415 - nothing of it is wanted where an emulation answers over plain HTTP

    # Once for all connections: it reads some 140 root certificates.
    return ssl.create_default_context()


def _jitter() -> float:
    from random import random  # noqa: PLC0415 - only a retry pays for it

    return random()  # noqa: S311 - spreads retries, guards nothing
