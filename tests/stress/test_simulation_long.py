"""The simulator's long forms: tens of thousands of histories, one of a hundred thousand events."""

# ruff: noqa: T201 - the figures reached are what these campaigns are for
from __future__ import annotations

from random import Random

import pytest

from simulation.campaign import campaign, named, seeds
from simulation.history import Act, History, draw
from simulation.weather import WEATHERS, Weather
from simulation.works import installed
from simulation.world import World
from support.ingest import RECIPE

EACH = 1_250
MANY = 10_000
# Seeds that `make test` does not use.
FIRST = 100_000


@pytest.mark.parametrize("weather", [weather.name for weather in WEATHERS])
def test_ten_thousand_histories_in_all_weathers(weather):
    figures = campaign(seeds(EACH, FIRST), named(weather))
    print(weather, figures)
    assert figures.histories == EACH


def test_ten_thousand_histories_of_duplicates():
    """Promise 1: each event 1 to 20 times."""
    figures = campaign(seeds(MANY, 2 * FIRST), named("duplicates"))
    print(figures)
    assert figures.counts["events"] > 5 * MANY


def test_ten_thousand_shuffles():
    """Promise 2: any event may come after any other."""
    figures = campaign(seeds(MANY, 3 * FIRST), Weather("shuffled", late=6_000.0))
    print(figures)
    assert figures.histories == MANY


def test_a_hundred_thousand_events_are_accounted_for():
    """Promise 18: every accepted upload is processed, refused, unwanted or gone; no letter is lost."""
    history = draw(Random(18), acts=41_000, keys=8_000)
    with installed():
        world = World(18, Weather("storm", copies=4, drop=0.01, fail=0.005, kill=0.0005), history)
        world.begin()
        world.loop.run()
        assert world.mailbox.sent == world.mailbox.settled + len(world.mailbox.dead)
        world.line.calm()
        world.rest()
        world.sweep()
        world.loop.run()
        wrong = world.oracle.broken + world.differences() + world.findings()
    account = world.account()
    dead = len(world.mailbox.dead)
    print(dict(account), f"{world.mailbox.sent} events, {dead} dead letters, {world.line.kills} kills")
    assert wrong == []
    assert world.mailbox.sent >= 100_000
    ended = account["processed"] + account["refused"] + account["gone"] + account["skipped"]
    assert (account["uploads"], account["processing"]) == (ended, 0)
    assert min(account["processed"], account["refused"], account["gone"]) > 500


def test_a_burst_of_ten_thousand_uploads_is_drained():
    """Promise 21, in simulated time: ten functions, up to 3 s for each picture."""
    acts = tuple(Act(number / 1000, f"{number}.jpg", b"%d" % number) for number in range(MANY))
    history = History(acts, tuple(act.key for act in acts), RECIPE, None, (), ())
    with installed():
        world = World(21, Weather("burst", copies=2, fail=0.001), history, concurrency=10)
        world.begin()
        world.loop.run()
        wrong = world.oracle.broken + world.differences()
    print(f"{world.mailbox.sent} events, {world.peak} at once, drained in {world.loop.now / 60:.0f} minutes")
    assert (wrong, world.mailbox.dead) == ([], [])
    assert world.account()["processed"] == MANY
    assert world.peak <= 10
