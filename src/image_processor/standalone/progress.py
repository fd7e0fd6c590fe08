"""Broadcasts what happens to uploads. Workers publish; event streams of the HTTP server follow.

Publishing never waits for a reader. Events are hints: the catalog holds the state, and a reader that
has missed events queries it.
"""

from __future__ import annotations

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
"""Events that are kept: how far a reader may fall behind without missing one."""


class EventType(StrEnum):
    """What can happen to an upload."""

    QUEUED = "queued"
    STARTED = "started"
    PROCESSED = "processed"
    REFUSED = "refused"
    DELETED = "deleted"
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"
    RETRYING = "retrying"
    FAILED = "failed"
    """No more retries until the next reconciliation."""


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
    """A reader has received (or, with ``missed``, has lost) all events up to and including ``sequence``."""

    sequence: int
    missed: bool = False


class Progress:
    """A broadcaster of events; every method may be called from any thread.

    The history is the only buffer, and a reader is a position in it: a slow reader needs no memory and
    delays nobody. A reader whose position has left the history gets one `Position` with ``missed`` and
    continues from the newest event.
    """

    def __init__(self, history: int = HISTORY) -> None:
        self._lock = threading.Lock()
        self._history: deque[Event] = deque(maxlen=history)
        self._sequence = 0
        self._wakers: set[Callable[[], None]] = set()
        self._closed = False
        # Sequences restart with the program: the run distinguishes the cursors of earlier programs.
        self._run = secrets.token_hex(4)

    def publish(self, event: Event) -> Event:
        """Send the event to all readers; return it with its sequence. Never waits for a reader."""
        with self._lock:
            self._sequence += 1
            numbered = replace(event, sequence=self._sequence)
            self._history.append(numbered)
            self._wake()
        return numbered

    def close(self) -> None:
        """End every reader's iteration once it has received what was published before."""
        with self._lock:
            self._closed = True
            self._wake()

    def cursor(self, item: Event | Position) -> str:
        """The text with which a reader can later follow from after ``item``."""
        return f"{self._run}-{item.sequence}"

    async def follow(self, after: str | None = None) -> AsyncIterator[Event | Position]:
        """Yield a `Position`, then events: from now on, or from after the cursor ``after``.

        No event published after the first item is missed. If ``after`` is a cursor of an earlier run, or
        has left the history, the position has ``missed``.
        """
        import asyncio  # noqa: PLC0415 - 14 ms of each command that has workers

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
        """The position of a reader with the cursor ``after``; the newest event if the cursor is unknown."""
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
        """Whether the broadcaster is closed, and the items that a reader at ``sequence`` has not received."""
        with self._lock:
            behind = self._sequence - sequence
            if behind > len(self._history):
                return self._closed, [Position(self._sequence, missed=True)]
            return self._closed, list(islice(self._history, len(self._history) - behind, None))

    def _wake(self) -> None:
        for waker in tuple(self._wakers):
            try:
                waker()
            except RuntimeError:  # the reader's event loop ended without closing the reader
                self._wakers.discard(waker)
