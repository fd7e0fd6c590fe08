"""Fetches files of web servers: what the allow-list names, from addresses that are allowed, within limits.

Each request is a connection of its own. It carries no cookies and no credentials, asks for the bytes as they
are, and knows no proxy. Nothing is decompressed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from urllib.parse import urljoin

from image_processor.aws.connection import Connection, ResponseStream, Timeouts
from image_processor.config.remote_sources import RemoteUrl, parse_remote_url
from image_processor.domain.errors import NotFound, Reason, Refused, SourceFailed, SourceNotAllowed
from image_processor.domain.ports import RemoteFile, Validators

from .dialer import Dialer
from .freshness import fresh_seconds

MAX_REDIRECTS = 3

_BLOCK = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = frozenset({404, 410})
_VALIDATOR = re.compile(r"[ -~]{1,256}")
"""What is sent back: a source cannot put more into a request."""

_HEADERS = {
    "accept": "image/*,*/*;q=0.1",
    "accept-encoding": "identity",
    "connection": "close",
    "user-agent": "image-processor",
}


class HttpSource:
    """RemoteReader over http and https. ``allows`` is the allow-list. A file takes at most ``seconds``, its
    redirects included, and a host gets at most ``connections`` requests at a time."""

    def __init__(
        self, dialer: Dialer, allows: Callable[[RemoteUrl], bool], *, seconds: float, connections: int
    ) -> None:
        self._dialer = dialer
        self._allows = allows
        self._seconds = seconds
        self._connections = connections
        self._lock = threading.Lock()
        self._slots: dict[str, threading.Semaphore] = {}

    @contextmanager
    def open(self, url: str, validators: Validators, *, limit: int) -> Iterator[RemoteFile]:
        """Implements `RemoteReader.open`."""
        deadline = time.monotonic() + self._seconds
        for _ in range(MAX_REDIRECTS + 1):
            parsed = self._allowed(url)
            with self._exchange(parsed, validators, deadline) as response:
                if response.status not in _REDIRECTS:
                    yield _file(parsed, response, validators, limit)
                    return
                url = _redirection(parsed, response)
        raise SourceFailed(f"expected at most {MAX_REDIRECTS} redirects from {parsed.host}, got more")

    def _allowed(self, url: str) -> RemoteUrl:
        """Raises SourceNotAllowed."""
        try:
            parsed = parse_remote_url(url)
        except ValueError:
            raise SourceNotAllowed("expected an http or https URL of a file, got something else") from None
        if not (parsed.is_http and self._allows(parsed)):
            raise SourceNotAllowed(f"expected a URL of a remote source, got another one of {parsed.host}")
        return parsed

    @contextmanager
    def _exchange(self, url: RemoteUrl, validators: Validators, deadline: float) -> Iterator[ResponseStream]:
        """The response to a request, whose body is not read yet. Raises AddressNotAllowed, SourceFailed."""
        headers = {"host": url.authority, **_HEADERS, **_conditions(validators)}
        with self._slot(url, deadline), ExitStack() as stack:
            with _network_errors(url):
                sock = stack.enter_context(closing(self._dialer.dial(url, deadline)))
                connection = Connection.over(sock, Timeouts(silence=self._seconds))
                stack.callback(connection.close)
                remaining = deadline - time.monotonic()
                response = connection.request("GET", url.target, headers, None, seconds=remaining)
                stack.callback(response.close)
            yield response

    @contextmanager
    def _slot(self, url: RemoteUrl, deadline: float) -> Iterator[None]:
        with self._lock:
            slot = self._slots.setdefault(url.host, threading.Semaphore(self._connections))
        if not slot.acquire(timeout=max(0.0, deadline - time.monotonic())):
            expected = f"expected at most {self._connections} requests to {url.host} at a time"
            raise SourceFailed(f"{expected}, got more")
        try:
            yield
        finally:
            slot.release()


def _conditions(validators: Validators) -> dict[str, str]:
    sent = {"if-none-match": validators.etag, "if-modified-since": validators.last_modified}
    return {name: value for name, value in sent.items() if value is not None}


def _redirection(url: RemoteUrl, response: ResponseStream) -> str:
    """The URL that a redirect names. Raises SourceFailed, SourceNotAllowed."""
    location = response.headers.get("location")
    if not location:
        expected = f"expected a Location with the status {response.status} from {url.host}"
        raise SourceFailed(f"{expected}, got none")
    try:
        return urljoin(url.text, location)
    except ValueError:
        raise SourceNotAllowed(f"expected a URL in the redirect from {url.host}, got none") from None


def _file(url: RemoteUrl, response: ResponseStream, sent: Validators, limit: int) -> RemoteFile:
    """Raises NotFound, SourceFailed, Refused."""
    headers = response.headers
    seconds = fresh_seconds(headers, datetime.now(UTC))
    validators = Validators(_validator(headers.get("etag")), _validator(headers.get("last-modified")))
    if response.status == 304 and sent != Validators():
        return RemoteFile(None, validators, seconds)
    if response.status in _MISSING:
        raise NotFound(f"{url.host} has no such file")
    if response.status != 200:
        raise SourceFailed(f"expected the status 200 from {url.host}, got {response.status}")
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise SourceFailed(f"expected no Content-Encoding from {url.host}, got {coding[:20]!r}")
    if response.is_unbounded:
        raise SourceFailed(f"expected a Content-Length from {url.host}, got none")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large(limit, length)
    return RemoteFile(_chunks(url, response, limit), validators, seconds)


def _validator(value: str | None) -> str | None:
    return value if value is not None and _VALIDATOR.fullmatch(value) else None


def _chunks(url: RemoteUrl, response: ResponseStream, limit: int) -> Iterator[bytes]:
    count = 0
    while True:
        with _network_errors(url):
            chunk = response.read(_BLOCK)
        count += len(chunk)
        if count > limit:
            raise too_large(limit, "more")
        if not chunk:
            return
        yield chunk


@contextmanager
def _network_errors(url: RemoteUrl) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise SourceFailed(f"cannot fetch from {url.host}: it takes too long") from error
    except OSError as error:
        raise SourceFailed(f"cannot fetch from {url.host}: {str(error) or type(error).__name__}") from error


def too_large(limit: int, got: str) -> Refused:
    """The error for a file that has more bytes than an upload may have."""
    return Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {got}")
