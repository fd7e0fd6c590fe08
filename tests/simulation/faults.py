"""Fault profiles, and the injector that every call of a port goes through.

A call takes time in which other threads run. It may fail before or after it has its effect; a put
may fail because of its own first try; the process may die before or after the call; and the
call may take so long that the lease expires.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from image_processor.domain.errors import PreconditionFailed, Unavailable

from .loop import Loop, Process

if TYPE_CHECKING:
    from .system import SimulatedSystem
    from .troubles import Troubles


@dataclass(frozen=True)
class FaultProfile:
    """What goes wrong and how often.

    ``copies`` is the maximum number of deliveries of one event, ``drop`` the probability that it is
    lost, ``late`` its maximum delay in seconds. ``fail``, ``kill`` and ``stall`` are probabilities per
    call; a failing call is repeated up to ``tries`` times in all, as the adapters do.

    ``refuse`` is the probability that a key cannot be read for a while, ``slow`` that calls for it are slow;
    ``full`` says that there is no space for a while, ``stop`` is the probability that a renderer stops, and
    ``skew`` says that clocks are wrong. ``webhooks`` is the probability that a webhook is not accepted, or
    that nobody learns that it is; with it the system is one machine, whose server's thread sends its events.
    """

    name: str
    copies: int = 1
    drop: float = 0.0
    fail: float = 0.0
    tries: int = 1
    kill: float = 0.0
    stall: float = 0.0
    late: float = 5.0
    refuse: float = 0.0
    slow: float = 0.0
    full: bool = False
    stop: float = 0.0
    skew: bool = False
    webhooks: float = 0.0


FAULT_PROFILES = (
    FaultProfile("calm"),
    FaultProfile("duplicates", copies=20, late=600.0),
    FaultProfile("lossy", copies=3, drop=0.3, late=60.0),
    FaultProfile("failing", copies=2, fail=0.05),
    FaultProfile("throttled", copies=2, fail=0.3, tries=4),
    FaultProfile("killing", copies=2, kill=0.02),
    FaultProfile("stalling", copies=2, stall=0.01, late=300.0),
    FaultProfile("storm", copies=4, drop=0.1, fail=0.03, kill=0.01, stall=0.005, late=900.0),
    FaultProfile("refusing", copies=5, refuse=0.8, drop=0.3, late=900.0),
    FaultProfile("full", copies=8, full=True, late=400.0),
    FaultProfile("slow", copies=3, slow=0.5, late=300.0),
    FaultProfile("stopping", copies=3, stop=0.2, late=600.0),
    FaultProfile("clocks", copies=4, skew=True, stall=0.02, late=300.0),
    FaultProfile("webhooks", copies=3, webhooks=0.5, fail=0.02, kill=0.01, late=300.0),
)
PROFILES_BY_NAME = {profile.name: profile for profile in FAULT_PROFILES}

_FAILURES = ("503", "throttled", "timeout before", "timeout after", "connection torn", "echo")
STALL = 900.0
"""The maximum stall in seconds: longer than a lease and than the visibility timeout."""
_WRITES = ("catalog.complete", "catalog.delete")
_DANGEROUS = ("processed.put", "processed.delete", "engine.render", "records.put")
_LEASING = ("catalog.acquire", "catalog.release")


class FaultyPort:
    """A port as one process calls it."""

    def __init__(self, sim: SimulatedSystem, process: Process, side: str, port: Any) -> None:
        self._sim, self._process, self._side, self._port = sim, process, side, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        sim, process, side = self._sim, self._process, self._side

        def call(*args: Any, **kwargs: Any) -> Any:
            what = f"{side}.{name}"

            def act() -> Any:
                return method(*args, **kwargs)

            return sim.faults.call(
                process,
                what,
                lambda: sim.effect(process, what, args, act),
                _key_of(args),
            )

        vars(self)[name] = call
        return call


def _key_of(args: tuple[Any, ...]) -> str:
    """The key that a call of a port is about, as far as its first argument tells it."""
    first = args[0] if args else ""
    if isinstance(first, str):
        return first
    return str(getattr(first, "key", "") or getattr(getattr(first, "record", None), "key", ""))


class FaultInjector:
    """Runs every call of every process, with faults drawn from the seed."""

    def __init__(
        self,
        loop: Loop,
        profile: FaultProfile,
        random: Random,
        note: Callable[[str], None],
        troubles: Troubles,
    ) -> None:
        self.loop, self.profile, self.random, self._note = loop, profile, random, note
        self.troubles = troubles
        self.calls = self.failures = self.kills = self.stalls = 0
        self.kill_at: Container[int] = ()
        """The numbers of the points that kill; each call passes two, before and after its effect."""
        self.points = 0

    def stop(self) -> None:
        """Inject no faults from now on."""
        self.profile = FaultProfile("calm")
        self.troubles.stop()
        self.kill_at = ()

    def call(self, process: Process, what: str, act: Callable[[], Any], key: str = "") -> Any:
        process.check()
        self.calls += 1
        self._delay(what, self.troubles.delay(key))
        self._pass(process, what)
        failure = self._failure(what)
        if failure and failure not in {"timeout after", "echo"}:
            raise self._failed(process, what, failure)
        if self.troubles.is_full(what, self.loop.now):
            raise self._failed(process, what, "no space left")
        process.check()  # another thread may have killed it meanwhile
        result = act()
        if what in _WRITES:
            process.wrote_at = self.loop.now
        elif what == "catalog.acquire":
            process.acquired_at = self.loop.now
        self._note(f"{process.name} {what}")
        self._pass(process, what)
        if failure == "echo":
            raise self._failed(process, what, failure, PreconditionFailed)
        if failure:
            raise self._failed(process, what, failure)
        if what.endswith((".list", ".scan", ".scan_entries")):
            return self._listing(process, what, result)
        return result

    def _delay(self, what: str = "", more: float = 0.0) -> None:
        seconds = 0.001 + 0.05 * self.random.random() + more
        # Stalls hurt most between a check and the write after it, so writes stall more often.
        chance = self.profile.stall * (5 if what in _DANGEROUS else 1)
        if chance and self.random.random() < chance:
            self.stalls += 1
            seconds += STALL * self.random.random()
        self.loop.sleep(seconds)

    def _pass(self, process: Process, what: str) -> None:
        self.points += 1
        # Kills hurt most between a write and the record of it.
        chance = self.profile.kill * (5 if what in _DANGEROUS else 1)
        by_chance = chance and self.random.random() < chance
        if by_chance or self.points in self.kill_at:
            self.kills += 1
            self._note(f"{process.name} dies at {what}")
            process.alive = False
            process.check()

    def _failure(self, what: str) -> str | None:
        """How the call fails after all tries; None if it succeeds."""
        failure = None
        for _ in range(self.profile.tries):
            if not self.profile.fail or self.random.random() >= self.profile.fail:
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
        process.unsure |= what in _LEASING
        self._note(f"{process.name} {what} fails: {failure}")
        return error(failure)

    def _listing(self, process: Process, what: str, entries: Iterator[Any]) -> Iterator[Any]:
        """Yield a listing in parts: others write meanwhile, and the connection may break."""
        for entry in entries:
            if self.random.random() < 0.3:
                self._delay()
                self._pass(process, what)
                if self.profile.fail and self.random.random() < self.profile.fail**self.profile.tries:
                    raise self._failed(process, what, "connection torn")
            process.check()
            yield entry
