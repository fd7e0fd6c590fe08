"""The command line beside sharp-cli: the version, one photograph, and a hundred of them.

Alone: `python -m benchmarks.command_line`. Each pair of commands is run alternately; CPU time is that of all
processes that a command starts.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from .npm import install
from .photographs import make_photograph
from .table import HEADING, Costs, Row, costs_of, format_costs

_PEER = Path(__file__).parent / "sharp_cli"
_OURS = (sys.executable, "-m", "image_processor")
_RUNS = 9
_BATCHES = 2
_PHOTOGRAPHS = 100
# The quality that sharp-cli has by default.
_RECIPE = """
[presets.small]
width = 640
formats = ["jpeg"]
quality = 80

[[rules]]
match = "**"
presets = ["small"]
"""


def rows() -> list[Row]:
    """Ratios to sharp-cli of wall time, and of CPU time for the batch. Empty where it cannot be installed."""
    node = shutil.which("node")
    if node is None or not install(_PEER):
        print("*** NOT COMPARED: node, npm or sharp-cli is missing. ***", file=sys.stderr)
        return []
    sharp = (node, str(_PEER / "node_modules" / ".bin" / "sharp"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph = str(make_photograph(folder / "photograph.jpg", 2725, 2225))
        ours, theirs = str(folder / "ours.jpg"), str(folder / "theirs.jpg")
        version = _compare((*_OURS, "--version"), (*sharp, "--version"), _RUNS)
        one = _compare(
            (*_OURS, "transform", photograph, "w=720,q=80", "--out", ours),
            (*sharp, "-i", photograph, "-o", theirs, "resize", "720"),
            _RUNS,
        )
        print(f"720 wide: bytes ours {Path(ours).stat().st_size}, sharp-cli {Path(theirs).stat().st_size}")
        batch = _compare_batch(sharp, folder)
    return [
        _row("--version, wall ratio to sharp-cli", *version, part=1, bar=0.6),
        _row("transform of one photograph, wall ratio", *one, part=1, bar=1.0),
        _row("100 photographs to 640 wide, CPU ratio", *batch, part=0, bar=1.1),
        _row("100 photographs to 640 wide, wall ratio", *batch, part=1, bar=1.1),
    ]


def _compare_batch(sharp: Sequence[str], folder: Path) -> tuple[Costs, Costs]:
    originals, peer_out = folder / "originals", folder / "theirs"
    originals.mkdir()
    peer_out.mkdir()
    first = make_photograph(originals / "000.jpg", 1600, 1200)
    for number in range(1, _PHOTOGRAPHS):
        shutil.copy(first, originals / f"{number:03}.jpg")
    recipe = folder / "recipe.toml"
    recipe.write_text(_RECIPE)
    # An unchanged folder would be skipped, so each run has another output.
    outs = (str(folder / f"ours-{number}") for number in range(_BATCHES + 1))
    files = sorted(map(str, originals.iterdir()))
    return _compare(
        (*_OURS, "process", str(originals), "--recipe", str(recipe), "--out", "{out}"),
        (*sharp, "-i", *files, "-o", str(peer_out), "resize", "640"),
        _BATCHES,
        outs,
    )


def _compare(
    ours: Sequence[str], theirs: Sequence[str], runs: int, outs: Iterable[str] = ()
) -> tuple[Costs, Costs]:
    """The median costs of both commands, after one run that warms the caches."""
    folders = iter(outs)
    costs: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    for number in range(runs + 1):
        out = next(folders, "")
        for command, results in zip((ours, theirs), costs, strict=True):
            result = _run([argument.replace("{out}", out) for argument in command])
            if number:
                results.append(result)
    return costs_of(costs[0]), costs_of(costs[1])


def _run(command: Sequence[str]) -> dict[str, float]:
    # pip compiles what it installs; a checkout must be allowed to do so, or each run compiles everything.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall}


def _row(name: str, ours: Costs, peer: Costs, *, part: int, bar: float) -> Row:
    return Row(name, format_costs(ours), format_costs(peer), value=ours[part] / peer[part], bar=bar)


if __name__ == "__main__":
    print(HEADING, *(found := rows()), sep="\n")
    sys.exit(not all(row.met for row in found))
