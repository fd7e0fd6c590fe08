"""Fuzzing guided by coverage: every target of tests/fuzzing raises nothing (promise 23)."""

from __future__ import annotations

import os
import random
import subprocess
import sysconfig
from pathlib import Path

import pytest

from fuzzing.registry import TARGETS

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(__file__).with_name("guided.py")
PYTHON = ROOT / ".venv-stress" / "bin" / "python"
RUNS = int(os.environ.get("STRESS_RUNS") or 5_000)
SEED = int(os.environ.get("STRESS_SEED") or random.randrange(1, 2**31))


def environment() -> dict[str, str]:
    """The fuzzer runs in a Python with atheris; everything else comes from this one."""
    paths = [ROOT / "src", ROOT / "tests", ROOT / "tests" / "engine", sysconfig.get_path("purelib")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}


@pytest.mark.parametrize("target", TARGETS)
def test_only_refusals_are_raised(target: str, tmp_path: Path) -> None:
    if not PYTHON.exists():
        missing = (
            f"NO PARSER WAS FUZZED: expected {PYTHON.relative_to(ROOT)}, which make stress sets up, got none"
        )
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    begin, words = tmp_path / "corpus", tmp_path / "words.txt"
    begin.mkdir()
    subprocess.run([PYTHON, PROGRAM, target, "--inputs", begin, words], env=environment(), check=True)
    options = [f"-runs={RUNS}", f"-seed={SEED}", f"-max_len={TARGETS[target].max_bytes}", f"-dict={words}"]
    options += ["-timeout=60", "-rss_limit_mb=2048"]
    done = subprocess.run(
        [PYTHON, PROGRAM, target, *options, begin],
        env=environment(),
        cwd=tmp_path,  # where a crashing input is saved
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = [(path.name, path.read_bytes()) for path in tmp_path.glob("*-*") if path.is_file()]
    assert done.returncode == 0, f"seed {SEED}: {found}\n{done.stderr[-4000:]}"
    assert f"Done {RUNS} runs" in done.stderr
