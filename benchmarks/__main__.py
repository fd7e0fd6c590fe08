"""`make bench`: our engine beside sharp on the same photographs, the command line beside sharp-cli, a cold
Lambda function of ours beside one in Node (cold_start), and our read path beside thumbor (delivery).

Absolute times depend on the machine and its load. Judged are ratios of medians, from runs that
alternate between the two sides. Exit code 1 if a bar is missed.
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

from . import cold_start, command_line
from .delivery import comparison as delivery
from .npm import install
from .photographs import make_photograph
from .table import HEADING, Costs, Row, costs_of, format_costs

_HERE = Path(__file__).parent
_SHARP = _HERE / "sharp"
_WARM_UPS = 3
_RUNS = 31
_MEGABYTE = 1024 * 1024


class Worker:
    """A process that performs tasks and reports what each cost."""

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

    def run(self, task: str, path: Path) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"task": task, "path": str(path)}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        large = make_photograph(Path(directory) / "large.jpg", 4000, 3000)
        medium = make_photograph(Path(directory) / "medium.jpg", 2725, 2225)
        rows = [*_compare_with_sharp(large, medium), _peak_memory(large)]
    rows += [*command_line.rows(), *cold_start.rows()]
    print(HEADING, *rows, sep="\n")
    delivery_rows = delivery.print_rows()
    return 0 if all(row.met for row in [*rows, *delivery_rows]) else 1


def _compare_with_sharp(large: Path, medium: Path) -> list[Row]:
    node = shutil.which("node")
    if node is None or not install(_SHARP):
        print(
            "*** NOT COMPARED: node, npm or sharp is missing, so only memory has a bar. ***", file=sys.stderr
        )
        return []
    with _render_worker() as ours, Worker(node, "bench.js", directory=_SHARP) as sharp:
        five = _compare(ours, "five", sharp, ("five-clones", "five-pipelines"), large)
        one = _compare(ours, "one", sharp, ("one",), medium)
    return [
        _row("12 MP JPEG to five JPEGs, CPU ratio", *five, bar=0.55),
        _row("2725 x 2225 JPEG to 720 wide, CPU ratio", *one, bar=1.1),
    ]


def _render_worker() -> Worker:
    return Worker(sys.executable, "-m", "benchmarks.render_worker", directory=_HERE.parent)


def _compare(
    ours: Worker, task: str, sharp: Worker, variants: tuple[str, ...], path: Path
) -> tuple[Costs, Costs]:
    """Our costs, and those of sharp's cheapest variant of the same task."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *variants)}
    for number in range(_WARM_UPS + _RUNS):
        for name, worker, wanted in (("ours", ours, task), *((name, sharp, name) for name in variants)):
            answer = worker.run(wanted, path)
            if number >= _WARM_UPS:
                runs[name].append(answer)
    costs = {name: costs_of(answers) for name, answers in runs.items()}
    # Equal sizes show that both sides encode with the same settings.
    print(f"{path.name}: bytes ours {runs['ours'][0]['bytes']}, sharp {runs[variants[0]][0]['bytes']}")
    return costs["ours"], min(costs[name] for name in variants)


def _row(name: str, ours: Costs, peer: Costs, *, bar: float) -> Row:
    return Row(name, format_costs(ours), format_costs(peer), value=ours[0] / peer[0], bar=bar)


def _peak_memory(large: Path) -> Row:
    """The peak of a fresh process that renders the five JPEGs once, interpreter included."""
    with _render_worker() as ours:
        peak = ours.run("five", large)["peak_bytes"] / _MEGABYTE
    return Row("12 MP JPEG to five JPEGs, peak memory", "", "", value=peak, bar=120, unit=" MB")


if __name__ == "__main__":
    sys.exit(main())
