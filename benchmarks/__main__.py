"""`make bench`: our engine against sharp on the same photographs, in the same run.

Machines differ and so do their moods: what counts is the ratio of medians of CPU time, taken
from runs that alternate between the two. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from .photographs import make_photograph

_HERE = Path(__file__).parent
_SHARP = _HERE / "sharp"
_WARM_UPS = 3
_RUNS = 25
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``ours`` and ``theirs`` are shown, ``value`` is judged."""

    what: str
    ours: str
    theirs: str
    value: float
    bar: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.bar

    def __str__(self) -> str:
        verdict = "ok" if self.met else "MISSED"
        judged = f"{self.value:.2f}{self.unit}"
        return f"{self.what:<44} {self.ours:>18} {self.theirs:>18} {judged:>10} {self.bar:>6g}  {verdict}"


class Peer:
    """A process that does tasks and reports what they cost."""

    def __init__(self, *command: str, directory: Path) -> None:
        self._process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def do(self, task: str, path: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, "path": str(path)}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        large = make_photograph(Path(directory) / "large.jpg", 4000, 3000)
        middle = make_photograph(Path(directory) / "middle.jpg", 2725, 2225)
        rows = [*_against_sharp(large, middle), _peak_memory(large)]
    heading = f"{'':<44} {'ours cpu/wall ms':>18} {'sharp cpu/wall ms':>18} {'judged':>10} {'bar':>6}"
    print(heading, *rows, sep="\n")
    return 0 if all(row.met for row in rows) else 1


def _against_sharp(large: Path, middle: Path) -> list[Row]:
    node = shutil.which("node")
    if node is None or not _install_sharp():
        print(
            "*** NOT COMPARED: node, npm or sharp is missing, so only memory is judged. ***", file=sys.stderr
        )
        return []
    with _ours() as ours, Peer(node, "bench.js", directory=_SHARP) as sharp:
        five = _compare(ours, "five", sharp, ("five-clones", "five-pipelines"), large)
        one = _compare(ours, "one", sharp, ("one",), middle)
    return [
        _row("12 MP JPEG to five JPEGs, CPU ratio", *five, bar=0.55),
        _row("2725 x 2225 JPEG to 720 wide, CPU ratio", *one, bar=1.1),
    ]


def _ours() -> Peer:
    return Peer(sys.executable, "-m", "benchmarks.ours", directory=_HERE.parent)


def _install_sharp() -> bool:
    """Install what package-lock.json pins, unless it is there already."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    lock, installed = _SHARP / "package-lock.json", _SHARP / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return True
    return subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=_SHARP, check=False).returncode == 0


Costs = tuple[float, float]
"""Median seconds of CPU and of wall time."""


def _compare(ours: Peer, task: str, sharp: Peer, tasks: tuple[str, ...], path: Path) -> tuple[Costs, Costs]:
    """Our costs, and sharp's for whichever of its ``tasks`` (ways to do the same) is cheapest."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *tasks)}
    for number in range(_WARM_UPS + _RUNS):
        for name, peer, asked in (("ours", ours, task), *((other, sharp, other) for other in tasks)):
            answer = peer.do(asked, path)
            if number >= _WARM_UPS:
                runs[name].append(answer)
    costs = {name: _costs(answers) for name, answers in runs.items()}
    _show_bytes(runs["ours"][0]["bytes"], runs[tasks[0]][0]["bytes"], path)
    return costs["ours"], min(costs[name] for name in tasks)


def _costs(answers: list[dict[str, Any]]) -> Costs:
    return median(answer["cpu"] for answer in answers), median(answer["wall"] for answer in answers)


def _show_bytes(ours: list[int], theirs: list[int], path: Path) -> None:
    # Quicker would be easy with other settings: equal sizes show that the settings are equal.
    print(f"{path.name}: bytes ours {ours}, sharp {theirs}")


def _row(what: str, ours: Costs, theirs: Costs, *, bar: float) -> Row:
    return Row(what, _shown(ours), _shown(theirs), value=ours[0] / theirs[0], bar=bar)


def _shown(costs: Costs) -> str:
    cpu, wall = costs
    return f"{cpu * 1000:.0f} / {wall * 1000:.0f}"


def _peak_memory(large: Path) -> Row:
    """The peak of a fresh process that renders the five JPEGs once, interpreter and all."""
    with _ours() as ours:
        peak = ours.do("five", large)["peak_bytes"] / _MEGABYTE
    return Row("12 MP JPEG to five JPEGs, peak memory", "", "", value=peak, bar=120, unit=" MB")


if __name__ == "__main__":
    sys.exit(main())
