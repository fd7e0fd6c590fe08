"""Offers a server more than it can do: requests begin by the clock, whether or not those before them
have been answered, and each has a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_PATIENCE = 60.0
_HEALTH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is 0 where no answer came; ``seconds`` run from when the request was due."""

    status: int
    seconds: float
    retry_after: bool


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of it. ``health`` are the answers to somebody who asked for /health all the time."""

    seconds: float
    answers: Sequence[Answer]
    health: Sequence[Answer]

    @property
    def goodput(self) -> float:
        """Renditions a second."""
        return sum(one.status == 200 for one in self.answers) / self.seconds

    @property
    def wrong(self) -> Sequence[str]:
        """What should not have been, by how often."""
        said = (_wrong(one) for one in self.answers)
        ill = (f"/health {one.status}" for one in self.health if one.status != 200)
        return [f"{count} x {what}" for what, count in Counter([*filter(None, said), *ill]).items()]

    def p99(self, answers: Sequence[Answer]) -> float:
        """Seconds within which 99 % of the good ones of ``answers`` came."""
        good = sorted(one.seconds for one in answers if one.status == 200)
        return good[int(0.99 * (len(good) - 1))]


def offer(port: int, paths: Iterator[str], rate: float, seconds: float) -> Offered:
    """Ask for ``rate`` of ``paths`` a second, for so many seconds."""
    return asyncio.run(_offer(port, paths, rate, seconds))


async def _offer(port: int, paths: Iterator[str], rate: float, seconds: float) -> Offered:
    clock = asyncio.get_running_loop().time
    begun, asked = clock(), []
    watch = asyncio.create_task(_watch(port))
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - clock()))
        asked.append(asyncio.create_task(_ask(port, next(paths), due)))
    answers = await asyncio.gather(*asked)
    watch.cancel()
    (health,) = await asyncio.gather(watch)
    return Offered(seconds, answers, health)


async def _watch(port: int) -> list[Answer]:
    clock = asyncio.get_running_loop().time
    seen: list[Answer] = []
    try:
        while True:
            seen.append(await _ask(port, "/health", clock()))
            await asyncio.sleep(_HEALTH_SECONDS)
    except asyncio.CancelledError:
        return seen


async def _ask(port: int, path: str, due: float) -> Answer:
    head = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            head = await _head(port, path)
    except (OSError, TimeoutError, EOFError):
        pass
    seconds = asyncio.get_running_loop().time() - due
    status = int(head.split(b" ", 2)[1]) if head else 0
    return Answer(status, seconds, b"\r\nretry-after:" in head.lower())


async def _head(port: int, path: str) -> bytes:
    """The head of the answer, when all of the answer is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        while await reader.read(65536):
            pass
    finally:
        writer.close()
    return head


def _wrong(answer: Answer) -> str | None:
    if answer.status == 503:
        return None if answer.retry_after else "503 without Retry-After"
    return None if answer.status == 200 else f"status {answer.status}"
