"""Resolves names of hosts within a deadline, and until it is closed.

The system's resolver knows no deadline and cannot be interrupted, so each name has a thread that nobody waits
for: not at the deadline, and not at the end of the process either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from socket import IPPROTO_TCP, SOCK_STREAM, getaddrinfo
from typing import Any

Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host. Raises OSError."""

STOPPING = "the server is stopping"

_AT_A_TIME = 16


def system_addresses(host: str, port: int) -> Sequence[str]:
    """The addresses that the system has for ``host``: in its files, else by DNS."""
    found = getaddrinfo(host, port, type=SOCK_STREAM, proto=IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver:
    """Asks ``resolve`` for a few names at a time."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._slots = threading.Semaphore(_AT_A_TIME)
        self._closed: Future[None] = Future()

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed.set_result(None)
        self._slots.release(_AT_A_TIME)

    def addresses(self, host: str, port: int, deadline: float) -> Sequence[str]:
        """The addresses of ``host`` before ``deadline`` on time.monotonic. Raises OSError: TimeoutError."""
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError("it took too long")
        answer: Future[Sequence[str]] = Future()
        threading.Thread(target=self._run, args=(answer, host, port), name="resolve", daemon=True).start()
        ends: tuple[Future[Any], ...] = (answer, self._closed)
        wait(ends, max(0.0, deadline - time.monotonic()), FIRST_COMPLETED)
        if self._closed.done():
            raise OSError(STOPPING)
        return answer.result(0)

    def _run(self, answer: Future[Sequence[str]], host: str, port: int) -> None:
        try:
            answer.set_result(self._resolve(host, port))
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            answer.set_exception(error)
        finally:
            self._slots.release()
