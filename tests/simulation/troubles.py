"""Trouble that lasts for a while, drawn from the seed: keys that cannot be read, a full disk, a slow prefix,
renderers that stop, and clocks that jump."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from support.memory_store import MemoryStore

from .faults import FaultProfile
from .loop import Process

MAX_CLOCK_ERROR = 700.0
"""Seconds by which a clock may be wrong: over twice a lease."""
RENDER_DEADLINE = 400.0
"""Seconds after which a renderer that does not answer is killed: here longer than a lease."""
SLOW_CALL = 250.0
"""The longest that a call for a slow key takes, in seconds."""

_STORING = frozenset(
    {
        *("processed.put", "records.put"),
        *("catalog.acquire", "catalog.complete", "catalog.delete"),
        *("catalog.release", "catalog.renew", "catalog.mark_sent"),
    }
)


class Troubles:
    """What goes wrong for how long in one history, until `stop`."""

    def __init__(
        self, profile: FaultProfile, random: Random, uploads: MemoryStore, processed: MemoryStore
    ) -> None:
        self.profile, self.random, self._processed = profile, random, processed
        self._denials = (uploads.unreadable, uploads.archived, uploads.hidden)
        self._full: list[tuple[float, float]] = []
        self._slow: set[str] = set()
        self._clock_errors: dict[str, float] = {}

    def schedule(
        self,
        keys: Iterable[str],
        length: float,
        at: Callable[[float, Callable[[], object]], None],
        deny: Callable[[set[str], str], object],
    ) -> None:
        """Draw the trouble of a history of ``length`` seconds. ``at`` calls a function at a time; ``deny``
        adds a key to a set of denied ones."""
        random, profile = self.random, self.profile
        for key in keys:
            if random.random() < profile.refuse:
                denial = random.choice(self._denials)
                begin = random.uniform(0, length)
                at(begin, partial(deny, denial, key))
                if random.random() < 0.5:
                    end = random.uniform(begin, 1.5 * length)
                    at(end, partial(denial.discard, key))
            if random.random() < profile.slow:
                self._slow.add(key)
        if profile.full:
            for _ in range(3):
                begin = random.uniform(0, length)
                self._full.append((begin, begin + random.choice([1.0, 60.0, 200.0])))

    def stop(self) -> None:
        """End everything but denials."""
        self._full.clear()
        self._slow.clear()
        self.profile = FaultProfile("calm")

    def denied(self) -> set[str]:
        """The keys that cannot be read now."""
        return set().union(*self._denials)

    def deny_renditions(self, names: Iterable[str]) -> None:
        """Some renditions of an unreadable original cannot be read either."""
        self._processed.unreadable |= {name for name in names if self.random.random() < 0.5}

    def end_denials(self) -> None:
        self._processed.unreadable.clear()
        for denial in self._denials:
            denial.clear()

    def is_full(self, what: str, now: float) -> bool:
        """Whether the call ``what`` finds no space."""
        return what in _STORING and any(begin <= now < end for begin, end in self._full)

    def delay(self, key: str) -> float:
        """The additional seconds of a call for ``key``."""
        is_slow = any(key.startswith(slow) for slow in self._slow)
        return SLOW_CALL * self.random.random() if is_slow else 0.0

    def render_stops(self) -> bool:
        """Whether the renderer stops during this render."""
        return bool(self.profile.stop) and self.random.random() < self.profile.stop

    def clock_error(self, process: Process) -> float:
        """The seconds by which the clock of ``process`` is ahead. It jumps now and then."""
        if not self.profile.skew:
            return 0.0
        if process.name not in self._clock_errors or self.random.random() < 0.1:
            self._clock_errors[process.name] = MAX_CLOCK_ERROR * self.random.uniform(-1, 1)
        return self._clock_errors[process.name]
