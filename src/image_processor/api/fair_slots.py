"""Slots for work of which only so much goes on at a time, shared among clients so that none keeps others out.

A client may hold as many slots as are then still free: alone half of them, so the next client finds some.
Of the requests that wait, that of the client with the fewest slots comes first; clients with as many take
turns. Waiting takes no thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import Event, fail_after

from image_processor.domain.errors import Overloaded, ShareExceeded


class _Waiter:
    """A request that waits for a slot."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.granted = Event()


class FairSlots:
    """``count`` slots for ``what``, which names the work in messages. Used in one event loop only."""

    def __init__(self, what: str, count: int) -> None:
        self._what = what
        self._count = count
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    @asynccontextmanager
    async def take(self, client: str, seconds: float = 0.0) -> AsyncIterator[None]:
        """Hold a slot, after waiting for it for at most ``seconds``. Raises ShareExceeded if ``client`` holds
        too many, Overloaded if all clients together do."""
        await self.acquire(client, seconds)
        try:
            yield
        finally:
            self.release(client)

    async def acquire(self, client: str, seconds: float = 0.0) -> None:
        """As `take`, until `release`."""
        if self._has_room(client):
            self._held[client] += 1
            return
        waiter = _Waiter(client)
        self._waiting.append(waiter)
        try:
            with fail_after(seconds):
                await waiter.granted.wait()
        except TimeoutError:
            if waiter not in self._waiting:  # granted at the last moment
                return
            raise self._refusal(client) from None
        except BaseException:
            if waiter not in self._waiting:
                self.release(client)
            raise
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def release(self, client: str) -> None:
        """Give back a slot of ``client``, and give it to the next one that waits."""
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        while ready := [waiter for waiter in self._waiting if self._has_room(waiter.client)]:
            # Of several the first.
            self._grant(min(ready, key=lambda waiter: self._held[waiter.client]))

    def _grant(self, waiter: _Waiter) -> None:
        """Give a slot to ``waiter``. Others of its client then wait behind all."""
        self._waiting.remove(waiter)
        self._waiting.sort(key=lambda other: other.client == waiter.client)
        self._held[waiter.client] += 1
        waiter.granted.set()

    def _has_room(self, client: str) -> bool:
        return self._held[client] < self._count - self._held.total()

    def _refusal(self, client: str) -> Overloaded:
        held, free = self._held[client], self._count - self._held.total()
        if held and free > 0:
            expected = f"expected at most as many {self._what} of one client as are free for others"
            return ShareExceeded(f"{expected}, got more than {held} of {self._count}; wait for some to end")
        return Overloaded(f"expected at most {self._count} {self._what} at the same time, got more")
