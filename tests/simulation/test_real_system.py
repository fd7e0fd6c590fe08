"""Histories with real processes and kill -9: on files with SQLite, and on emulated AWS."""

from __future__ import annotations

from collections import Counter

from simulation.backends import directory, emulated
from simulation.campaign import seeds
from simulation.real_system import RealSystem

ON_FILES = 12
ON_AWS = 4


def campaign(count, backend):
    counts = Counter()
    for seed in seeds(count):
        system = RealSystem(seed, backend(seed))
        wrong = system.run()
        assert wrong == [], f"SIMULATION_SEED={seed}: {wrong[:8]}, after {dict(system.counts)}"
        counts += system.counts
    return counts


def test_killed_processes_on_files_converge(tmp_path):
    counts = campaign(ON_FILES, lambda seed: directory(tmp_path / str(seed)))
    assert counts["kills"] >= ON_FILES or counts["acts"] < ON_FILES
    left = [path for path in tmp_path.rglob("*.sqlite-journal") if path.is_file()]
    assert left == []


def test_killed_processes_on_emulated_aws_converge():
    counts = campaign(ON_AWS, lambda _: emulated())
    assert counts["kills"] >= ON_AWS or counts["acts"] < ON_AWS
