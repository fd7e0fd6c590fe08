"""The program of `make bench`: what it does with its parts. What they measure is no test."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmarks import __main__ as program
from benchmarks.table import Row


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def fail() -> Sequence[Row]:
        raise RuntimeError("no peer")

    parts = {
        "broken": fail,
        "empty": list,
        "good": lambda: [Row("renditions", "1 ms", "2 ms", 0.5, 0.6)],
        "slow": lambda: [Row("renditions", "3 ms", "2 ms", 1.5, 1.0)],
    }
    monkeypatch.setattr(program, "PARTS", parts)
    monkeypatch.setattr(program, "_PLOTTING_PYTHON", tmp_path / "absent")
    return tmp_path


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *parts: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *parts, "--into", str(folder)])
    return program.main()


def test_a_part_that_fails_is_reported_and_the_others_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, monkeypatch) == 1
    printed = capsys.readouterr()
    assert "RuntimeError: no peer" in printed.err
    summary = printed.out.partition("Summary")[2].splitlines()
    assert [line.split()[-1] for line in summary[2:6]] == ["MISSED", "MISSED", "ok", "MISSED"]
    assert summary[-1] == "1 of 4 bars met"


def test_parts_run_by_name_and_earlier_results_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, monkeypatch, "slow") == 1
    assert run(folder, monkeypatch, "good") == 0
    parts = json.loads((folder / "results.json").read_text())["parts"]
    assert {name: part["rows"][0]["met"] for name, part in parts.items()} == {"slow": False, "good": True}


def test_an_unknown_part_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        run(folder, monkeypatch, "good", "unknown")
    assert not (folder / "results.json").exists()
