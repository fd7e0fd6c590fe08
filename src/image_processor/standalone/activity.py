"""Counts what a server has done in the last hour and the last day, by minute.

Memory is bounded: a minute is dropped after a day, and the names are few. Nothing is stored, so counts begin
again with each start. Counting must be cheap, because every response with a stored rendition is counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from image_processor.domain.models import Outcome, OutcomeStatus, Record, Rendition

MINUTE, QUARTER = 60, 900
"""Seconds of one period of the last hour and of the last day."""

HOUR_PERIODS, DAY_PERIODS = 60, 96

REFUSED = "refused:"
"""What names of counts of refused uploads begin with; the reason follows."""


class Series(Struct, frozen=True):
    """Counts by name, each for ``length`` periods of ``step`` seconds. The first begins at ``start`` (Unix
    seconds), the last is the current one."""

    start: int
    step: int
    length: int
    counts: Mapping[str, Sequence[float]]


class _Minute:
    """The counts of one minute: sums, and the highest of values."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.end = (number + 1) * MINUTE
        self.sums: dict[str, float] = {}
        self.highest: dict[str, float] = {}


class Activity:
    """Counts what happens. Methods may be called from any thread. ``clock`` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.started = clock()
        """When counting began."""
        # Minutes without counts take no memory.
        self._minutes: deque[_Minute] = deque([_Minute(int(self.started) // MINUTE)])
        self._forgotten: Counter[str] = Counter()
        """The sums of minutes that were dropped."""
        self._seconds = 0.0
        self._renditions = 0

    def count(self, name: str, amount: float = 1) -> None:
        """Add ``amount`` to a count of the current minute."""
        with self._lock:
            sums = self._current().sums
            sums[name] = sums.get(name, 0) + amount

    def record_maximum(self, name: str, value: float) -> None:
        """Record a value, of which each period keeps the highest."""
        with self._lock:
            highest = self._current().highest
            highest[name] = max(value, highest.get(name, 0))

    def count_outcome(self, outcome: Outcome, seconds: float) -> None:
        """Count the outcome of an upload, after ``seconds`` of work."""
        self.count("busy", seconds)
        self.count(outcome.status.value)
        record = outcome.record
        if outcome.status is OutcomeStatus.REFUSED and record is not None and record.reason is not None:
            self.count(f"{REFUSED}{record.reason.value}")
        if outcome.status is not OutcomeStatus.PROCESSED or record is None:
            return
        with self._lock:
            self._seconds += seconds
            self._renditions += len(record.renditions)
        self.count("renditions", len(record.renditions))
        for format_, number in Counter(item.metadata.format for item in record.renditions).items():
            self.count(f"format:{format_}", number)
        self.count("saved", saved_bytes(record))

    def seconds_per_rendition(self) -> float | None:
        """What one rendition of an upload has taken a worker on average; None before the first."""
        with self._lock:
            return self._seconds / self._renditions if self._renditions else None

    def totals(self) -> Mapping[str, float]:
        """The sums of all counts since the start."""
        with self._lock:
            totals = Counter(self._forgotten)
            for minute in self._minutes:
                totals.update(minute.sums)
            return totals

    def last_hour(self) -> Series:
        return self._series(MINUTE, HOUR_PERIODS)

    def last_day(self) -> Series:
        return self._series(QUARTER, DAY_PERIODS)

    def _current(self) -> _Minute:
        now = self._clock()
        minute = self._minutes[-1]
        if now < minute.end:
            return minute
        minute = _Minute(int(now) // MINUTE)
        self._minutes.append(minute)
        while self._minutes[0].number <= minute.number - DAY_PERIODS * QUARTER // MINUTE:
            self._forgotten.update(self._minutes.popleft().sums)
        return minute

    def _series(self, step: int, length: int) -> Series:
        with self._lock:
            first = int(self._clock()) // step - length + 1
            counts: dict[str, list[float]] = {}
            for minute in self._minutes:
                # A clock that was set back leaves minutes that are still to come.
                at = min(minute.number * MINUTE // step - first, length - 1)
                if at < 0:
                    continue
                for name, value in minute.sums.items():
                    counts.setdefault(name, [0.0] * length)[at] += value
                for name, value in minute.highest.items():
                    values = counts.setdefault(name, [0.0] * length)
                    values[at] = max(values[at], value)
        return Series(first * step, step, length, counts)


def saved_bytes(record: Record) -> int:
    """The bytes that one view of the image saves if the largest rendition is sent in its smallest format in
    place of the original; 0 if it saves none."""
    if record.original is None or not record.renditions:
        return 0
    largest = max(map(_pixels, record.renditions))
    smallest = min(item.metadata.bytes for item in record.renditions if _pixels(item) == largest)
    return max(0, record.original.bytes - smallest)


def _pixels(rendition: Rendition) -> int:
    return rendition.metadata.width * rendition.metadata.height
