"""Histories by the thousand round the real code. A failure names its seed and how to replay it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from image_processor.config.settings import Settings
from simulation.campaign import Broken, campaign, named, run, seeds
from simulation.mailbox import RECEIVES, VISIBILITY
from simulation.mutations import MUTATIONS
from simulation.weather import WEATHERS
from simulation.works import LEASE

HISTORIES = 250
ROOT = Path(__file__).parents[2]
# What a campaign in each weather must have met, or it has shown nothing.
MET = {
    "calm": "unchanged",
    "duplicates": "unchanged",
    "lossy": "dropped",
    "failing": "failures",
    "throttled": "failures",
    "killing": "kills",
    "stalling": "stalls",
    "storm": "kills",
}


@pytest.mark.parametrize("weather", [weather.name for weather in WEATHERS])
def test_every_history_ends_as_the_dictionary_says(weather):
    figures = campaign(seeds(HISTORIES), named(weather))
    if "SIMULATION_SEED" not in os.environ:
        assert figures.histories == HISTORIES
        assert figures.counts[MET[weather]] >= HISTORIES // 2
        assert figures.counts["events"] >= HISTORIES


@pytest.mark.parametrize(
    ("mutation", "weather"), [(name, weather) for name, (_, weather) in MUTATIONS.items()]
)
def test_a_safeguard_taken_away_is_noticed(mutation, weather):
    adapt, _ = MUTATIONS[mutation]
    with pytest.raises(Broken, match=r"seed \d+ in weather"):
        campaign(range(2 * HISTORIES), named(weather), adapt)


@pytest.mark.parametrize("weather", ["duplicates", "storm"])
def test_one_seed_is_one_history(weather):
    first, second = run(7, named(weather)), run(7, named(weather))
    assert (first.digest, list(first.trace)) == (second.digest, list(second.trace))
    assert run(8, named(weather)).digest != first.digest


def test_a_seed_is_the_same_history_in_another_process():
    told = [_replay(seed, hash_seed) for seed in (3, 7) for hash_seed in ("1", "2")]
    assert told[0] == told[1] != told[2] == told[3]


def _replay(seed, hash_seed):
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests"))),
    }
    command = [sys.executable, "-m", "simulation", str(seed)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return re.search(r"digest ([0-9a-f]{8})", done.stdout)[1]


def test_a_failure_says_how_to_see_it_again():
    adapt, _ = MUTATIONS["renditions are not swept"]
    with pytest.raises(Broken) as caught:
        campaign(range(HISTORIES), named("calm"), adapt)
    seed = int(re.search(r"SIMULATION_SEED=(\d+) make test", str(caught.value))[1])
    with pytest.raises(Broken) as again:
        run(seed, named("calm"), adapt)
    assert str(again.value) == str(caught.value)


def test_the_queue_and_the_claims_are_those_of_the_template():
    template = (ROOT / "deployment" / "template.yaml").read_text()
    assert f"VisibilityTimeout: {VISIBILITY:.0f}\n" in template
    assert f"maxReceiveCount: {RECEIVES}\n" in template
    assert Settings().lease_seconds == LEASE
