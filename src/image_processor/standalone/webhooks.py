"""Sends outcome events of one machine to a URL, signed as the Standard Webhooks specification says.

The events wait in the catalog's outbox, so restarts lose none. The receiver may get one more than once,
and in any order (docs/events.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from socket import SHUT_RDWR, socket
from urllib.parse import urlsplit

from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import OutboxMessage
from image_processor.domain.ports import EventQueue, QueuedEvent

_TIMEOUT = 15.0
"""Seconds to wait for the receiver, from "Request timeout" of the specification: 15 to 30."""
_STOP_SECONDS = 1.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 3600.0
_PAUSE_WITHOUT_RESPONSE = 5.0
"""Seconds until another event is tried after the receiver did not answer at all."""
_ATTEMPTS_UNTIL_HOURLY = 12
_BATCH = 20
_IDLE = 60.0

_log = logging.getLogger(__name__)


class Webhook(Struct, frozen=True):
    """Where events are sent. The first of ``secrets`` is the current one; during a rotation events are signed
    with all of them. Events that were not accepted for about ``days`` are dead."""

    url: str
    secrets: tuple[bytes, ...]
    days: int

    @property
    def max_attempts(self) -> int:
        """Pauses grow to an hour in twelve attempts, and stay there."""
        return _ATTEMPTS_UNTIL_HOURLY + 24 * self.days


def signature(secrets: Sequence[bytes], id_: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: `v1,` and the HMAC-SHA256 in base64, once for each secret."""
    signed = f"{id_}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def next_pause(attempts: int, jitter: float) -> timedelta:
    """The time until the next attempt after ``attempts`` that failed. ``jitter`` is from 0 to 1."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (attempts - 1))
    return timedelta(seconds=longest * (0.5 + jitter / 2))


class WebhookSender:
    """A thread that sends the events of ``queue``, the longest due first, until it is stopped.

    ``clock`` decides what is due, and ``jitter`` spreads attempts.
    """

    def __init__(
        self,
        webhook: Webhook,
        queue: EventQueue,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._webhook = webhook
        self._queue = queue
        self._clock = clock
        self._jitter = jitter
        self._stopping = False
        self._sock: socket | None = None
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread. The request that is running gets _STOP_SECONDS; then it counts as failed, and the
        next start sends its event again."""
        self._stopping = True
        self._wake.set()
        self._thread.join(_STOP_SECONDS)
        if (sock := self._sock) is not None:
            _shut_down(sock)
        self._thread.join()

    def trigger(self) -> None:
        """There is a new event."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                pause = self.send_due()
            except ImageProcessorError as error:
                _log.warning("events wait, because the catalog does not answer: %s", error)
                pause = _IDLE
            except Exception:  # noqa: BLE001 - a bug must not end the thread
                _log.exception("events wait, because one cannot be sent")
                pause = _IDLE
            self._wake.wait(pause)
            self._wake.clear()  # before the stop is looked at again, so that it is never missed

    def send_due(self) -> float:
        """Send what is due, in the calling thread. Returns the seconds until there is something to do, unless
        it is triggered. Raises what the queue raises."""
        for event in self._queue.due(self._clock(), limit=_BATCH):
            if self._stopping:
                return 0.0
            if not self._send(event):
                return _PAUSE_WITHOUT_RESPONSE
        due_at = self._queue.next_due()
        return _IDLE if due_at is None else min(_IDLE, max(0.0, (due_at - self._clock()).total_seconds()))

    def _send(self, event: QueuedEvent) -> bool:
        """Send one event, and note how it went. False if the receiver did not answer at all."""
        status, problem = self._post(event.message)
        if problem is None:
            self._queue.remove(event.message)
            return True
        attempts = event.attempts + 1
        pause = next_pause(attempts, self._jitter())
        is_dead = attempts >= self._webhook.max_attempts
        self._queue.postpone(event.message, None if is_dead else self._clock() + pause, problem)
        _log.warning(
            "the receiver did not accept event %s of %r, attempt %d: %s%s",
            event.message.id,
            event.message.key,
            attempts,
            problem,
            "; it is dead" if is_dead else "",
        )
        return status is not None

    def _post(self, message: OutboxMessage) -> tuple[int | None, str | None]:
        """The status, None without a response, and the problem, None if the event was accepted."""
        url = urlsplit(self._webhook.url)
        secure = url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(url.hostname or "", url.port, timeout=_TIMEOUT)
        try:
            # Redirects are not followed: only the configured URL gets events.
            connection.connect()
            self._sock = connection.sock
            with _time_limit(connection.sock):
                connection.request("POST", url.path or "/", message.body.encode(), self._headers(message))
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return None, f"{type(error).__name__}: {error}"
        finally:
            self._sock = None
            connection.close()
        return status, None if 200 <= status < 300 else f"status {status}"

    def _headers(self, message: OutboxMessage) -> dict[str, str]:
        timestamp = int(datetime.now(UTC).timestamp())
        return {
            "content-type": "application/json",
            "user-agent": "image-processor",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(
                self._webhook.secrets, message.id, timestamp, message.body.encode()
            ),
        }


def _shut_down(sock: socket) -> None:
    """End the exchange on ``sock``, which another thread waits for."""
    with suppress(OSError):  # closed meanwhile
        socket.shutdown(sock, SHUT_RDWR)  # not SSLSocket's own, which the reading thread does not expect


@contextmanager
def _time_limit(sock: socket) -> Iterator[None]:
    """Raise TimeoutError where the exchange on ``sock`` takes longer than _TIMEOUT: http.client's own timeout
    restarts with each byte."""
    over = threading.Event()

    def end() -> None:
        over.set()
        _shut_down(sock)

    timer = threading.Timer(_TIMEOUT, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TimeoutError(f"no response within {_TIMEOUT:g} s")
