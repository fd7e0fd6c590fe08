"""What a server has done in the last hour and the last day, in counts per minute and per quarter of an hour.

Memory is bounded: the counts of one period are forgotten when it leaves the ring, and the names are few.
Nothing is stored; a restart begins anew. Counting never waits long.
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


class Series(Struct, frozen=True):
    """Counts by name, each for ``length`` periods of ``step`` seconds. The first begins at ``start`` (Unix
    seconds), the last is the current one."""

    start: int
    step: int
    length: int
    counts: Mapping[str, Sequence[float]]


class _Ring:
    """The counts of the last periods. Periods without counts take no memory."""

    def __init__(self, step: int, length: int) -> None:
        self._step = step
        self._length = length
        self._periods: deque[tuple[int, dict[str, float], dict[str, float]]] = deque()

    def period(self, now: float) -> tuple[dict[str, float], dict[str, float]]:
        """The sums and maxima of the period at ``now``."""
        number = int(now) // self._step
        if not self._periods or self._periods[-1][0] != number:
            self._periods.append((number, {}, {}))
        while self._periods[0][0] <= number - self._length:
            self._periods.popleft()
        return self._periods[-1][1:]

    def series(self, now: float) -> Series:
        last = int(now) // self._step
        first = last - self._length + 1
        counts: dict[str, list[float]] = {}
        for number, sums, maxima in self._periods:
            if first <= number <= last:
                for name, value in {**sums, **maxima}.items():
                    counts.setdefault(name, [0.0] * self._length)[number - first] = value
        return Series(first * self._step, self._step, self._length, counts)


class Activity:
    """Counts what happens. Methods may be called from any thread. ``clock`` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hour = _Ring(MINUTE, HOUR_PERIODS)
        self._day = _Ring(QUARTER, DAY_PERIODS)
        self._seconds = 0.0
        self._renditions = 0
        self._totals = Counter[str]()
        self.started = clock()
        """When counting began."""

    def count(self, name: str, amount: float = 1) -> None:
        """Add ``amount`` to a count of the current period."""
        with self._lock:
            now = self._clock()
            self._totals[name] += amount  # type: ignore[assignment]  # typeshed: whole numbers only
            for ring in (self._hour, self._day):
                sums = ring.period(now)[0]
                sums[name] = sums.get(name, 0) + amount

    def reach(self, name: str, value: float) -> None:
        """Note a value of which the highest of each period is kept."""
        with self._lock:
            now = self._clock()
            for ring in (self._hour, self._day):
                maxima = ring.period(now)[1]
                maxima[name] = max(value, maxima.get(name, 0))

    def count_outcome(self, outcome: Outcome, seconds: float) -> None:
        """Count the outcome of an upload, after ``seconds`` of work."""
        self.count("busy", seconds)
        self.count(outcome.status.value)
        record = outcome.record
        if outcome.status is OutcomeStatus.REFUSED and record is not None and record.reason is not None:
            self.count(f"refused:{record.reason.value}")
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
            return dict(self._totals)

    def last_hour(self) -> Series:
        with self._lock:
            return self._hour.series(self._clock())

    def last_day(self) -> Series:
        with self._lock:
            return self._day.series(self._clock())


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
