"""Overloads a server: requests start at a fixed rate, each on its own connection, without waiting for
earlier answers (open loop).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TIMEOUT_SECONDS = 60.0
_HEALTH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Reply:
    """``status`` is 0 without an answer; ``seconds`` count from when the request was due."""

    status: int
    seconds: float
    retry_after: bool


@dataclass(frozen=True, slots=True)
class OverloadResult:
    """The replies to ``seconds`` of requests, and to a client that polled /health meanwhile."""

    seconds: float
    answers: Sequence[Reply]
    health: Sequence[Reply]

    @property
    def goodput(self) -> float:
        """Renditions a second."""
        return sum(reply.status == 200 for reply in self.answers) / self.seconds

    @property
    def unexpected(self) -> Sequence[str]:
        """Replies that overload does not explain, with their counts."""
        renditions = (_unexpected(reply) for reply in self.answers)
        health = (f"/health {reply.status}" for reply in self.health if reply.status != 200)
        return [f"{count} x {what}" for what, count in Counter([*filter(None, renditions), *health]).items()]

    def p99(self, answers: Sequence[Reply]) -> float:
        """The 99th percentile of the seconds of ``answers`` with status 200."""
        seconds = sorted(reply.seconds for reply in answers if reply.status == 200)
        return seconds[int(0.99 * (len(seconds) - 1))]


def send_requests(port: int, paths: Iterator[str], rate: float, seconds: float) -> OverloadResult:
    """Request ``rate`` of ``paths`` a second for ``seconds``."""
    return asyncio.run(_send_requests(port, paths, rate, seconds))


async def _send_requests(port: int, paths: Iterator[str], rate: float, seconds: float) -> OverloadResult:
    clock = asyncio.get_running_loop().time
    started, requests = clock(), []
    watch = asyncio.create_task(_poll_health(port))
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - clock()))
        requests.append(asyncio.create_task(_request(port, next(paths), due)))
    answers = await asyncio.gather(*requests)
    watch.cancel()
    (health,) = await asyncio.gather(watch)
    return OverloadResult(seconds, answers, health)


async def _poll_health(port: int) -> list[Reply]:
    clock = asyncio.get_running_loop().time
    seen: list[Reply] = []
    try:
        while True:
            seen.append(await _request(port, "/health", clock()))
            await asyncio.sleep(_HEALTH_SECONDS)
    except asyncio.CancelledError:
        return seen


async def _request(port: int, path: str, due: float) -> Reply:
    head = b""
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            head = await _head(port, path)
    except (OSError, TimeoutError, EOFError):
        pass
    seconds = asyncio.get_running_loop().time() - due
    status = int(head.split(b" ", 2)[1]) if head else 0
    return Reply(status, seconds, b"\r\nretry-after:" in head.lower())


async def _head(port: int, path: str) -> bytes:
    """The head of the response, read to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        while await reader.read(65536):
            pass
    finally:
        writer.close()
    return head


def _unexpected(answer: Reply) -> str | None:
    if answer.status == 503:
        return None if answer.retry_after else "503 without Retry-After"
    return None if answer.status == 200 else f"status {answer.status}"
