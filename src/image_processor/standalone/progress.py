"""Embedded: tells everybody who watches what becomes of each upload, as it happens.

Worker threads publish and never wait; readers follow from the event loop of the HTTP server.
Progress is a hint: the catalog holds the truth, and a reader who missed something looks there.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from itertools import islice
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

HISTORY = 2048
"""How many events a reader may fall behind, or be away for, without missing one."""


class EventType(StrEnum):
    """What may happen to an upload: a closed list."""

    QUEUED = "queued"
    STARTED = "started"
    PROCESSED = "processed"
    REFUSED = "refused"
    DELETED = "deleted"
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"
    RETRYING = "retrying"
    FAILED = "failed"
    """Given up for now; the next sweep tries it again."""


class Event(Struct, frozen=True):
    """Something happened to the original ``key``, whose id is ``id``.

    ``detail`` is JSON-ready and may be empty. ``sequence`` grows by one with every event of one
    `Progress`, from 1; publishing sets it.
    """

    type: EventType
    id: str
    key: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0


class Position(Struct, frozen=True):
    """A reader has got, or with ``missed`` has lost, every event up to and including ``sequence``."""

    sequence: int
    missed: bool = False


class Progress:
    """A broadcaster of events; every method may be called from any thread.

    The history is the only buffer, and each reader has just a position in it: a reader that is
    slower than the uploads costs no memory and holds nobody up. If its position has left the
    history, it gets one `Position` with ``missed`` and goes on from the newest event.
    """

    def __init__(self, history: int = HISTORY) -> None:
        self._lock = threading.Lock()
        self._history: deque[Event] = deque(maxlen=history)
        self._sequence = 0
        self._wakers: set[Callable[[], None]] = set()
        self._closed = False
        # Sequences start anew with the program; the run keeps a cursor of an earlier one from
        # being mistaken for a position in this one.
        self._run = secrets.token_hex(4)

    def publish(self, event: Event) -> Event:
        """Tell all readers; returns the event with its sequence. Never waits for a reader."""
        with self._lock:
            self._sequence += 1
            numbered = replace(event, sequence=self._sequence)
            self._history.append(numbered)
            self._wake()
        return numbered

    def close(self) -> None:
        """End every reader's iteration once it has got what was published before."""
        with self._lock:
            self._closed = True
            self._wake()

    def cursor(self, item: Event | Position) -> str:
        """The text by which a reader may later follow from just after ``item``."""
        return f"{self._run}-{item.sequence}"

    async def follow(self, after: str | None = None) -> AsyncIterator[Event | Position]:
        """A `Position`, then events: from now on, or from just after the cursor ``after``.

        What is published once the first item has come is not missed. An ``after`` of an earlier
        run, or one that has left the history, is answered by ``missed``.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def waker() -> None:
            loop.call_soon_threadsafe(woken.set)

        with self._lock:
            position = self._start(after)
            self._wakers.add(waker)
        try:
            yield position
            while True:
                woken.clear()
                closed, unseen = self._unseen(position.sequence)
                for item in unseen:
                    position = Position(item.sequence)
                    yield item
                if closed and not unseen:
                    return
                if not unseen:
                    await woken.wait()
        finally:
            with self._lock:
                self._wakers.discard(waker)

    def _start(self, after: str | None) -> Position:
        """Where a reader with the cursor ``after`` stands; the newest event if it is unknown."""
        if after is None:
            return Position(self._sequence)
        run, _, digits = after.partition("-")
        if run != self._run or not re.fullmatch("[0-9]{1,18}", digits):
            return Position(self._sequence, missed=True)
        behind = self._sequence - int(digits)
        if 0 <= behind <= len(self._history):
            return Position(int(digits))
        return Position(self._sequence, missed=True)

    def _unseen(self, sequence: int) -> tuple[bool, list[Event | Position]]:
        """Whether all is closed, and what a reader at ``sequence`` has not got yet."""
        with self._lock:
            behind = self._sequence - sequence
            if behind > len(self._history):
                return self._closed, [Position(self._sequence, missed=True)]
            return self._closed, list(islice(self._history, len(self._history) - behind, None))

    def _wake(self) -> None:
        for waker in tuple(self._wakers):
            try:
                waker()
            except RuntimeError:  # the reader's event loop has ended without closing the reader
                self._wakers.discard(waker)
