"""Coverage-guided fuzzing: parsers of headers, events and URLs raise nothing but their own errors."""

from __future__ import annotations

import os
import random
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAM = Path(__file__).with_name("guided.py")
PYTHON = ROOT / ".venv-stress" / "bin" / "python"
RUNS = {
    "header": 50_000,
    "shape": 200_000,
    "directory": 200_000,
    "tags": 200_000,
    "event": 200_000,
    "url": 100_000,
}
SEED = int(os.environ.get("STRESS_SEED") or random.randrange(1, 2**31))


def environment() -> dict[str, str]:
    """The fuzzer runs in a Python with atheris; everything else comes from this one."""
    paths = [ROOT / "src", ROOT / "tests", ROOT / "tests" / "engine", sysconfig.get_path("purelib")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}


@pytest.mark.parametrize("target", list(RUNS))
def test_only_refusals_are_raised(target: str, tmp_path: Path) -> None:
    if not PYTHON.exists():
        missing = (
            f"NO PARSER WAS FUZZED: expected {PYTHON.relative_to(ROOT)}, which make stress sets up, got none"
        )
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    begin = tmp_path / "corpus"
    begin.mkdir()
    subprocess.run([PYTHON, PROGRAM, target, "--corpus", begin], env=environment(), check=True)
    options = [f"-runs={RUNS[target]}", f"-seed={SEED}", "-max_len=8192", "-timeout=60", "-rss_limit_mb=2048"]
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
    assert f"Done {RUNS[target]} runs" in done.stderr
