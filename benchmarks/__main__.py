"""`make bench`: our engine against sharp on the same photographs, in the same run, a cold Lambda
function of ours against one in Node (cold_start), and our read path against thumbor (delivery).

Machines differ and so do their moods: what counts is the ratio of medians, taken from runs that
alternate between the two. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import cold_start
from .delivery import comparison as delivery
from .node import install
from .photographs import make_photograph
from .table import HEADING, Costs, Row, costs_of, shown

_HERE = Path(__file__).parent
_SHARP = _HERE / "sharp"
_WARM_UPS = 3
_RUNS = 31
_MEGABYTE = 1024 * 1024


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
        rows = [*_against_sharp(large, middle), _peak_memory(large), *cold_start.rows()]
    print(HEADING, *rows, sep="\n")
    reads = delivery.told()
    return 0 if all(row.met for row in [*rows, *reads]) else 1


def _against_sharp(large: Path, middle: Path) -> list[Row]:
    node = shutil.which("node")
    if node is None or not install(_SHARP):
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


def _compare(ours: Peer, task: str, sharp: Peer, tasks: tuple[str, ...], path: Path) -> tuple[Costs, Costs]:
    """Our costs, and sharp's for whichever of its ``tasks`` (ways to do the same) is cheapest."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *tasks)}
    for number in range(_WARM_UPS + _RUNS):
        for name, peer, asked in (("ours", ours, task), *((other, sharp, other) for other in tasks)):
            answer = peer.do(asked, path)
            if number >= _WARM_UPS:
                runs[name].append(answer)
    costs = {name: costs_of(answers) for name, answers in runs.items()}
    _show_bytes(runs["ours"][0]["bytes"], runs[tasks[0]][0]["bytes"], path)
    return costs["ours"], min(costs[name] for name in tasks)


def _show_bytes(ours: list[int], theirs: list[int], path: Path) -> None:
    # Quicker would be easy with other settings: equal sizes show that the settings are equal.
    print(f"{path.name}: bytes ours {ours}, sharp {theirs}")


def _row(what: str, ours: Costs, theirs: Costs, *, bar: float) -> Row:
    return Row(what, shown(ours), shown(theirs), value=ours[0] / theirs[0], bar=bar)


def _peak_memory(large: Path) -> Row:
    """The peak of a fresh process that renders the five JPEGs once, interpreter and all."""
    with _ours() as ours:
        peak = ours.do("five", large)["peak_bytes"] / _MEGABYTE
    return Row("12 MP JPEG to five JPEGs, peak memory", "", "", value=peak, bar=120, unit=" MB")


if __name__ == "__main__":
    sys.exit(main())
