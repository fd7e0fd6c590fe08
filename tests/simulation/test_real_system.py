"""Histories with real processes and kill -9: on files with SQLite, and on emulated AWS."""

from __future__ import annotations

import os
from collections import Counter

from simulation.backends import directory, emulated
from simulation.campaign import seeds
from simulation.real_children import children_left, replaced_children
from simulation.real_system import RealSystem
from support.waiting import wait_for

ON_FILES = 12
ON_AWS = 4
WITH_CHILDREN = 3


def campaign(count, backend, children=""):
    counts = Counter()
    for seed in seeds(count):
        system = RealSystem(seed, backend(seed), children)
        wrong = system.run()
        assert wrong == [], f"SIMULATION_SEED={seed}: {wrong[:8]}, after {dict(system.counts)}"
        counts += system.counts
    return counts


def test_killed_processes_on_files_converge(tmp_path):
    counts = campaign(ON_FILES, lambda seed: directory(tmp_path / str(seed)))
    assert counts["kills"] >= ON_FILES or counts["acts"] < ON_FILES
    left = [path for path in tmp_path.rglob("*.sqlite-journal") if path.is_file()]
    assert left == []


def test_children_that_stop_amid_their_work_change_no_end(tmp_path):
    """Workers render in child processes, of which some are stopped for a moment or for ever; workers are
    killed, too. No image is refused for it, and none of the children is left."""
    counts = campaign(WITH_CHILDREN, lambda seed: directory(tmp_path / str(seed)), str(tmp_path))
    wait_for(lambda: not children_left(tmp_path), "the end of all children")
    if "SIMULATION_SEED" not in os.environ:
        assert min(counts["kills"], replaced_children(tmp_path)) > 0


def test_killed_processes_on_emulated_aws_converge():
    counts = campaign(ON_AWS, lambda _: emulated())
    assert counts["kills"] >= ON_AWS or counts["acts"] < ON_AWS
