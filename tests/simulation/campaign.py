"""Runs one history per seed, from the first upload to a redrive weeks later, and checks every promise."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from .faults import FAULT_PROFILES, PROFILES_BY_NAME, FaultProfile
from .history import draw_history
from .simulator import Simulator
from .system import simulated_threads

Adapt = Callable[[Simulator], None]


class PromiseBroken(AssertionError):
    """A promise was broken. The message says how to replay the history."""


@dataclass
class Totals:
    """What happened in the histories of a campaign."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, sim: Simulator) -> None:
        self.histories += 1
        self.counts.update(sim.counts)
        self.counts["events"] += sim.queue.sent
        self.counts["calls"] += sim.faults.calls
        self.counts["failures"] += sim.faults.failures
        self.counts["kills"] += sim.faults.kills
        self.counts["stalls"] += sim.faults.stalls
        self.counts["dead"] += len(sim.queue.dead)
        self.counts["late writes"] += sum(sim.oracle.late_writes.values())


def profile_of(seed: int) -> FaultProfile:
    return FAULT_PROFILES[seed % len(FAULT_PROFILES)]


def run(seed: int, profile: FaultProfile | None = None, adapt: Adapt | None = None) -> Simulator:
    """Run the history of ``seed``. Raises PromiseBroken.

    ``adapt`` may change the simulator first, for example to remove a safeguard.
    """
    profile = profile or profile_of(seed)
    with simulated_threads():
        sim = Simulator(seed, profile, draw_history(Random(f"history {seed}")))
        if adapt is not None:
            adapt(sim)
        wrong = _problems(sim)
    if wrong:
        raise PromiseBroken(_report(seed, sim, wrong))
    return sim


def campaign(seeds: Iterable[int], profile: FaultProfile | None = None, adapt: Adapt | None = None) -> Totals:
    """Run a history for each seed, up to the first broken promise."""
    totals = Totals()
    for seed in seeds:
        totals.add(run(seed, profile, adapt))
    return totals


def seeds(count: int, first: int = 0) -> Iterable[int]:
    """The seeds of a campaign, or only the one in SIMULATION_SEED."""
    only = os.environ.get("SIMULATION_SEED")
    return [int(only)] if only else range(first, first + count)


def _problems(sim: Simulator) -> list[str]:
    """Run the whole history, and return all problems in the order in which they would be noticed."""
    sim.begin()
    sim.loop.run()
    if sim.needs_no_reconcile() and (wrong := sim.differences()):
        return [f"without a reconcile: {problem}" for problem in wrong]
    sim.faults.stop()
    sim.expire_leases()
    if wrong := _problems_while_unreadable(sim):
        return [f"while keys cannot be read: {problem}" for problem in wrong]
    sim.reconcile()
    sim.loop.run()
    sim.oracle.reconciled = True
    wrong = sim.oracle.violations + sim.differences()
    if wrong or sim.findings():
        return wrong or [f"one reconcile was not enough: {problem}" for problem in sim.findings()]
    sim.invalidate()
    if sim.profile.webhooks:
        sim.redrive_webhooks()
    sim.loop.run()
    if wrong := sim.unheard():
        return wrong
    renders = sim.counts["renders"]
    sim.redrive()
    wrong = [f"after a redrive: {problem}" for problem in sim.oracle.violations + sim.differences()]
    wrong += [f"after a redrive: {problem}" for problem in sim.unheard()]
    if sim.counts["renders"] != renders:
        wrong.append("a redrive rendered something again")
    if len(sim.queue):
        wrong.append("a message was neither deleted nor moved to the dead letters")
    return wrong


def _problems_while_unreadable(sim: Simulator) -> list[str]:
    """Reconcile while some keys cannot be read, which must not disturb the others; then they can be."""
    wrong: list[str] = []
    # A key that has lost its rule keeps its record while one of its renditions cannot be looked at.
    names = sim.processed.unreadable & sim.processed.bodies().keys()
    of_renditions = {sim.oracle.original_of(name)[0] for name in names}
    if unreadable := sim.troubles.denied() | {key for key in of_renditions if key is not None}:
        sim.oracle.unreadable = unreadable
        sim.reconcile()
        sim.loop.run()
        wrong = sim.oracle.violations + sim.differences() + sim.lost()
    sim.oracle.unreadable = set()
    sim.troubles.end_denials()
    return wrong


def _report(seed: int, sim: Simulator, wrong: list[str]) -> str:
    profile = sim.profile.name
    shown = "\n  ".join(wrong[:8])
    trace = "\n  ".join((sim.evidence or list(sim.trace))[-80:])
    return (
        f"seed {seed} with the fault profile {profile!r} broke a promise:\n  {shown}\n"
        f"replay: SIMULATION_SEED={seed} make test PYTEST_ARGS='tests/simulation -k {profile}'\n"
        f"    or: cd tests && python -m simulation {seed} {profile}\n  {trace}"
    )


def profile_named(name: str) -> FaultProfile:
    return PROFILES_BY_NAME[name]
