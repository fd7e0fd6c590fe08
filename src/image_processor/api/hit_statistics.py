"""Counts hits in the process that answers them, with a dictionary, a list and two sums: a hit itself takes
only some 50 microseconds."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, field

HIT_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1)
"""Upper bounds of the buckets of durations; one more bucket has no bound."""


class HitCounts(Struct, frozen=True):
    """Hits by status, by duration (a number for each bucket), and the sums of seconds and bytes."""

    statuses: Mapping[str, int] = field(default_factory=dict)
    buckets: tuple[int, ...] = (0,) * (len(HIT_SECONDS) + 1)
    seconds: float = 0.0
    bytes: int = 0

    def plus(self, other: HitCounts) -> HitCounts:
        """Both together."""
        return HitCounts(
            Counter(self.statuses) + Counter(other.statuses),
            tuple(one + two for one, two in zip(self.buckets, other.buckets, strict=True)),
            self.seconds + other.seconds,
            self.bytes + other.bytes,
        )


class HitStatistics:
    """What one process has counted since it was asked last."""

    def __init__(self) -> None:
        self._reset()

    def add(self, response: tuple[bytes, bytes | bytearray], started: float) -> float:
        """Count a response, head and body, to a request that arrived at ``started`` (`time.perf_counter`).
        Returns the seconds since."""
        seconds = time.perf_counter() - started
        head, body = response
        status = head[9:12]
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._buckets[bisect_left(HIT_SECONDS, seconds)] += 1
        self._seconds += seconds
        self._bytes += len(body)
        return seconds

    def take(self) -> HitCounts | None:
        """Return what was counted, and start again from zero. None if nothing was."""
        if not self._statuses:
            return None
        statuses = {status.decode(): number for status, number in self._statuses.items()}
        counts = HitCounts(statuses, tuple(self._buckets), self._seconds, self._bytes)
        self._reset()
        return counts

    def _reset(self) -> None:
        self._statuses: dict[bytes, int] = {}
        self._buckets = [0] * (len(HIT_SECONDS) + 1)
        self._seconds = 0.0
        self._bytes = 0
