"""The long forms of the simulation: thousands of histories, one with a hundred thousand events.

STRESS_HISTORIES is their number in each of the first two campaigns; 10,000 take half an hour of CPU.
"""

# ruff: noqa: T201 - docs/reliability.md has the printed figures
from __future__ import annotations

import os
from random import Random

import pytest

from simulation.campaign import campaign, profile_named, seeds
from simulation.faults import FAULT_PROFILES, FaultProfile
from simulation.history import History, UserAction, draw_history
from simulation.simulator import Simulator
from simulation.system import simulated_threads
from support.ingest import RECIPE

MANY = int(os.environ.get("STRESS_HISTORIES") or 1_000)
HISTORIES_PER_PROFILE = MANY // 5
UPLOADS = 10_000
# Seeds that `make test` does not use.
FIRST = 100_000


@pytest.mark.parametrize("profile", [profile.name for profile in FAULT_PROFILES])
def test_many_histories_with_all_fault_profiles(profile):
    totals = campaign(seeds(HISTORIES_PER_PROFILE, FIRST), profile_named(profile))
    print(profile, totals)
    assert totals.histories == HISTORIES_PER_PROFILE


def test_many_histories_of_duplicates():
    """Promise 1: each event 1 to 20 times."""
    totals = campaign(seeds(MANY, 2 * FIRST), profile_named("duplicates"))
    print(totals)
    assert totals.counts["events"] > 5 * MANY


def test_many_shuffles():
    """Promise 2: any event may come after any other."""
    totals = campaign(seeds(MANY, 3 * FIRST), FaultProfile("shuffled", late=6_000.0))
    print(totals)
    assert totals.histories == MANY


def test_a_hundred_thousand_events_are_accounted_for():
    """Promise 18: every accepted upload is processed, refused, unwanted or gone; no message is lost."""
    history = draw_history(Random(18), actions=41_000, keys=8_000)
    with simulated_threads():
        sim = Simulator(18, FaultProfile("storm", copies=4, drop=0.01, fail=0.005, kill=0.0005), history)
        sim.begin()
        sim.loop.run()
        assert sim.queue.sent == sim.queue.deleted + len(sim.queue.dead)
        sim.faults.stop()
        sim.expire_leases()
        sim.reconcile()
        sim.loop.run()
        wrong = sim.oracle.violations + sim.differences() + sim.findings()
    account = sim.account()
    dead = len(sim.queue.dead)
    print(dict(account), f"{sim.queue.sent} events, {dead} dead letters, {sim.faults.kills} kills")
    assert wrong == []
    assert sim.queue.sent >= 100_000
    ended = account["processed"] + account["refused"] + account["gone"] + account["skipped"]
    assert (account["uploads"], account["processing"]) == (ended, 0)
    assert min(account["processed"], account["refused"], account["gone"]) > 500


def test_a_burst_of_ten_thousand_uploads_is_drained():
    """Promise 21, in simulated time: ten functions, up to 3 s for each picture."""
    actions = tuple(UserAction(number / 1000, f"{number}.jpg", b"%d" % number) for number in range(UPLOADS))
    history = History(actions, tuple(act.key for act in actions), RECIPE, None, (), ())
    with simulated_threads():
        sim = Simulator(21, FaultProfile("burst", copies=2, fail=0.001), history, concurrency=10)
        sim.begin()
        sim.loop.run()
        wrong = sim.oracle.violations + sim.differences()
    print(f"{sim.queue.sent} events, {sim.peak} at once, drained in {sim.loop.now / 60:.0f} minutes")
    assert (wrong, sim.queue.dead) == ([], [])
    assert sim.account()["processed"] == UPLOADS
    assert sim.peak <= 10
