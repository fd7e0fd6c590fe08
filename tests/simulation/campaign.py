"""One seed, one history, one verdict: the whole of it, from the first upload to a redrive weeks later."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from .history import draw
from .weather import BY_NAME, WEATHERS, Weather
from .works import installed
from .world import World

Adapt = Callable[[World], None]


class Broken(AssertionError):
    """A promise was broken; the message says how to see it again."""


@dataclass
class Figures:
    """What a campaign went through."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, world: World) -> None:
        self.histories += 1
        self.counts.update(world.counts)
        self.counts["events"] += world.mailbox.sent
        self.counts["calls"] += world.line.calls
        self.counts["failures"] += world.line.failures
        self.counts["kills"] += world.line.kills
        self.counts["stalls"] += world.line.stalls
        self.counts["dead"] += len(world.mailbox.dead)
        self.counts["strays mended"] += sum(world.oracle.strays.values())


def weather_of(seed: int) -> Weather:
    return WEATHERS[seed % len(WEATHERS)]


def run(seed: int, weather: Weather | None = None, adapt: Adapt | None = None) -> World:
    """Live through the history of ``seed``. Raises Broken with the seed if a promise is."""
    weather = weather or weather_of(seed)
    with installed():
        world = World(seed, weather, draw(Random(f"history {seed}")))
        if adapt is not None:
            adapt(world)
        wrong = _live(world)
    if wrong:
        raise Broken(_report(seed, world, wrong))
    return world


def campaign(seeds: Iterable[int], weather: Weather | None = None, adapt: Adapt | None = None) -> Figures:
    """Many histories; the first broken one ends it."""
    figures = Figures()
    for seed in seeds:
        figures.add(run(seed, weather, adapt))
    return figures


def seeds(count: int, first: int = 0) -> Iterable[int]:
    """The seeds of a campaign; SIMULATION_SEED replays one alone."""
    only = os.environ.get("SIMULATION_SEED")
    return [int(only)] if only else range(first, first + count)


def _live(world: World) -> list[str]:
    """Everything wrong, in the order in which it would be noticed."""
    world.begin()
    world.loop.run()
    if world.needs_no_reconcile() and (wrong := world.differences()):
        return [f"without a reconcile: {each}" for each in wrong]
    world.line.calm()
    world.rest()
    world.sweep()
    world.loop.run()
    world.oracle.reconciled = True
    wrong = world.oracle.broken + world.differences()
    if wrong or world.findings():
        return wrong or [f"one reconcile was not enough: {each}" for each in world.findings()]
    renders = world.counts["renders"]
    world.redrive()
    wrong = [f"after a redrive: {each}" for each in world.oracle.broken + world.differences()]
    if world.counts["renders"] != renders:
        wrong.append("a redrive rendered again what was there")
    if len(world.mailbox):
        wrong.append("a letter was neither settled nor dead")
    return wrong


def _report(seed: int, world: World, wrong: list[str]) -> str:
    weather = world.weather.name
    shown = "\n  ".join(wrong[:8])
    trace = "\n  ".join((world.evidence or list(world.trace))[-80:])
    return (
        f"seed {seed} in weather {weather!r} broke a promise:\n  {shown}\n"
        f"replay: SIMULATION_SEED={seed} make test PYTEST_ARGS='tests/simulation -k {weather}'\n"
        f"    or: cd tests && python -m simulation {seed} {weather}\n  {trace}"
    )


def named(name: str) -> Weather:
    return BY_NAME[name]
