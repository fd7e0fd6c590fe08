"""Finds changed files by listing a directory again and again, where the kernel gives no notifications."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Self

from image_processor.domain.ports import ObjectStore

MIN_PAUSE_SECONDS = 2.0
_PAUSE_PER_LISTING = 20.0
"""The pause after a listing, as a multiple of the time that it took: at most a twentieth of a core is
used."""


class PolledTree:
    """Compares the listings of ``store``. A context manager, as InotifyTree is.

    Memory grows by one key and version per file. ``stop`` ends a pause and a listing early.
    """

    def __init__(self, store: ObjectStore, stop: Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._stop = stop
        self._clock = clock
        self._versions = self._list()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def closed(self) -> frozenset[str]:
        """Empty: a listing does not show it."""
        return frozenset()

    def changes(self, seconds: float) -> set[str]:
        """The keys of files that were created, changed or deleted. Waits up to ``seconds``, and returns
        nothing until the next listing is due. Raises Unavailable."""
        self._stop.wait(max(0.0, min(seconds, self._due - self._clock())))
        if self._stop.is_set() or self._clock() < self._due:
            return set()
        before, self._versions = self._versions, self._list()
        if self._stop.is_set():  # the listing ended early: what it lacks is not deleted
            return set()
        return {key for key, _ in before.items() ^ self._versions.items()}

    def _list(self) -> dict[str, str]:
        started = self._clock()
        versions: dict[str, str] = {}
        for entry in self._store.list():
            if self._stop.is_set():
                break
            versions[entry.key] = entry.version
        ended = self._clock()
        self._due = ended + max(MIN_PAUSE_SECONDS, _PAUSE_PER_LISTING * (ended - started))
        return versions
