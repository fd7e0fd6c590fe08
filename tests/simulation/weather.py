"""What goes wrong, how often; and the wire on which it does: every call of a port goes over one.

A call takes time, and others work meanwhile. It may fail before it had its effect or after, or be
answered as if its own first try had been another's; its process may die before or after; it may
take so long that the claim ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from image_processor.domain.errors import PreconditionFailed, Unavailable

from .loop import Loop, Process

if TYPE_CHECKING:
    from .world import World


@dataclass(frozen=True)
class Weather:
    """Chances are of one event, or of one call. A failing call is tried again ``tries`` times in all,
    as the adapters do; ``calm`` ones cannot fail by chance."""

    name: str
    copies: int = 1
    drop: float = 0.0
    fail: float = 0.0
    tries: int = 1
    kill: float = 0.0
    stall: float = 0.0
    late: float = 5.0


WEATHERS = (
    Weather("calm"),
    Weather("duplicates", copies=20, late=600.0),
    Weather("lossy", copies=3, drop=0.3, late=60.0),
    Weather("failing", copies=2, fail=0.05),
    Weather("throttled", copies=2, fail=0.3, tries=4),
    Weather("killing", copies=2, kill=0.02),
    Weather("stalling", copies=2, stall=0.01, late=300.0),
    Weather("storm", copies=4, drop=0.1, fail=0.03, kill=0.01, stall=0.005, late=900.0),
)
BY_NAME = {weather.name: weather for weather in WEATHERS}

_FAILURES = ("503", "throttled", "timeout before", "timeout after", "connection torn", "echo")
STALL = 900.0
"""At most so long: well past a claim's end, and past the time that a message stays hidden."""
_WRITES = ("catalog.complete", "catalog.delete")
_DANGEROUS = ("processed.put", "processed.delete", "engine.render", "records.put")
_CLAIMING = ("catalog.acquire", "catalog.release")


class Wire:
    """A port as one process sees it."""

    def __init__(self, world: World, process: Process, side: str, port: Any) -> None:
        self._world, self._process, self._side, self._port = world, process, side, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        world, process, side = self._world, self._process, self._side

        def call(*args: Any, **kwargs: Any) -> Any:
            return world.line.call(process, f"{side}.{name}", lambda: method(*args, **kwargs))

        vars(self)[name] = call
        return call


class Line:
    """Every call of every process, with its dangers drawn from the seed."""

    def __init__(self, loop: Loop, weather: Weather, random: Random, note: Callable[[str], None]) -> None:
        self.loop, self.weather, self.random, self._note = loop, weather, random, note
        self.calls = self.failures = self.kills = self.stalls = 0
        self.kill_at: int | None = None
        """Of the points that calls pass, two each, the one that kills."""
        self._points = 0

    def calm(self) -> None:
        self.weather = Weather("calm")
        self.kill_at = None

    def call(self, process: Process, what: str, act: Callable[[], Any]) -> Any:
        process.check()
        self.calls += 1
        self._rest(what)
        self._pass(process, what)
        failure = self._failure(what)
        if failure and failure not in {"timeout after", "echo"}:
            raise self._failed(process, what, failure)
        process.check()  # another thread of it may have died since
        result = act()
        if what in _WRITES:
            process.wrote_at = self.loop.now
        elif what == "catalog.acquire":
            process.claimed_at = self.loop.now
        self._note(f"{process.name} {what}")
        self._pass(process, what)
        if failure == "echo":
            raise self._failed(process, what, failure, PreconditionFailed)
        if failure:
            raise self._failed(process, what, failure)
        if what.endswith((".list", ".scan")):
            return self._listing(process, what, result)
        return result

    def _rest(self, what: str = "") -> None:
        seconds = 0.001 + 0.05 * self.random.random()
        # Writes more often: between a look and a write is where a claim must not be lost unnoticed.
        chance = self.weather.stall * (5 if what in _DANGEROUS else 1)
        if chance and self.random.random() < chance:
            self.stalls += 1
            seconds += STALL * self.random.random()
        self.loop.sleep(seconds)

    def _pass(self, process: Process, what: str) -> None:
        self._points += 1
        by_chance = self.weather.kill and self.random.random() < self.weather.kill
        if by_chance or self._points == self.kill_at:
            self.kills += 1
            self._note(f"{process.name} dies at {what}")
            process.alive = False
            process.check()

    def _failure(self, what: str) -> str | None:
        """How the call fails in the end, None if it does not."""
        failure = None
        for _ in range(self.weather.tries):
            if not self.weather.fail or self.random.random() >= self.weather.fail:
                return failure if failure == "echo" else None
            failure = self.random.choice(_FAILURES)
            if failure == "echo" and what != "processed.put":
                failure = "timeout after"
            if failure == "echo":
                return failure
        return failure

    def _failed(
        self, process: Process, what: str, failure: str, error: type[Exception] = Unavailable
    ) -> Exception:
        self.failures += 1
        process.unsure |= what in _CLAIMING
        self._note(f"{process.name} {what} fails: {failure}")
        return error(failure)

    def _listing(self, process: Process, what: str, entries: Iterator[Any]) -> Iterator[Any]:
        """A listing is read bit by bit, while others write, and its connection may break."""
        for entry in entries:
            if self.random.random() < 0.3:
                self._rest()
                self._pass(process, what)
                if self.weather.fail and self.random.random() < self.weather.fail**self.weather.tries:
                    raise self._failed(process, what, "connection torn")
            process.check()
            yield entry
