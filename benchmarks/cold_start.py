"""How soon a cold function has stored its first rendition: ours, built as it is deployed, and the
same work in Node with sharp and the AWS SDK, bundled. Each runs as its users run it: in an optimised
build of the version that Lambda has, through AWS's own client of the Runtime API. S3 and DynamoDB are
emulated, once for both.

The clock starts with the runtime's process and stops where S3 begins to answer the PUT of the first
rendition. The functions share one core, one at a time; everything else has the others.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median

from support.aws_emulation.runtime_api import Function, Runner, python_function
from support.aws_emulation.server import PYTHON, RUNTIME

from . import node_runtime, python_runtime
from .python_runtime import Python
from .stage import ROOT, Stage
from .table import HEADING, Row, costs_of, shown

_HERE = Path(__file__).parent
_PACKAGES = ROOT / "build" / "process-bench"
_ARCH = {"x86_64": "x86_64", "aarch64": "arm64"}
_WARM_UPS, _RUNS = 2, 25
DEPLOYED = {"VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "2", "MALLOC_TOP_PAD_": "16777216"}
"""What the template sets for every function."""
_RECIPE = """\
[presets.web]
widths = [{widths}]
formats = ["jpeg"]

[[rules]]
match = "**"
presets = ["web"]
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What both sides do with an upload. ``bar``: what part of the peer's time ours may take until
    its first rendition is stored."""

    what: str
    widths: str
    table: bool
    bar: float | None


_CASES = (
    Case("720 wide, no catalog", "720", table=False, bar=0.50),
    Case("720 wide, catalog", "720", table=True, bar=0.60),
    Case("four widths, catalog", "320,640,1280,1920", table=True, bar=None),
)
_PLAIN, _RECORDED = _CASES[:2]


def rows() -> list[Row]:
    """The figures; none where something that they need is missing, which is then said."""
    missing = _missing()
    if missing:
        print(f"*** NO COLD STARTS: {missing}. ***", file=sys.stderr)
        return []
    node_runtime.bundle()
    for case in _CASES:
        _build(case)
    python = python_runtime.find()
    print(f"cold starts: ours in {python.name}, the peer in {node_runtime.name()}")
    with tempfile.TemporaryDirectory() as folder, _cores() as core, Stage(Path(folder)) as stage:
        functions = Functions(stage, core, python)
        compared = chain.from_iterable(_compare(stage, functions, case) for case in _CASES)
        return [
            *compared,
            _least(stage, functions),
            *(_beyond(stage, functions, case) for case in _CASES[:2]),
        ]


def _missing() -> str | None:
    if not PYTHON.exists():
        return "there is no .venv-aws, which `make test` installs"
    if not shutil.which("taskset"):
        return "taskset is missing"
    if len(os.sched_getaffinity(0)) == 1:
        return "the function and what it talks to need a core each"
    return node_runtime.missing()


def _build(case: Case) -> None:
    """Make the package with the case's recipe in it, which prints its size."""
    _PACKAGES.mkdir(parents=True, exist_ok=True)
    recipe = _PACKAGES / f"{case.widths}.toml"
    recipe.write_text(_RECIPE.format(widths=case.widths))
    command = (sys.executable, ROOT / "deployment" / "build.py", "process", "--recipe", recipe)
    place = ("--into", _package(case), "--arch", _ARCH[platform.machine()])
    subprocess.run([*command, *place], check=True)


def _package(case: Case) -> Path:
    return _PACKAGES / case.widths


@contextmanager
def _cores() -> Iterator[int]:
    """Give one core to the functions, whose number it is, and keep the others for the rest."""
    cores = os.sched_getaffinity(0)
    core = max(cores)
    os.sched_setaffinity(0, cores - {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, cores)


class Functions:
    """The functions that are compared, each as Lambda would know it."""

    def __init__(self, stage: Stage, core: int, python: Python) -> None:
        self._stage = stage
        self._core = str(core)
        self._python = python

    def ours(self, case: Case) -> Function:
        return self._in_python("image_processor.aws_lambda.process", case)

    def probe(self, handler: str, case: Case) -> Function:
        """A handler of probe/ in the place of ours."""
        function = self._in_python(handler, case)
        path = os.pathsep.join((function.environment["PYTHONPATH"], str(_HERE / "probe")))
        return replace(function, environment={**function.environment, "PYTHONPATH": path})

    def peer(self, case: Case) -> Function:
        stage = self._stage
        environment = {
            **stage.environment,
            "PROCESSED_BUCKET": stage.processed,
            "TABLE": stage.table,
            "WIDTHS": case.widths,
        }
        return self._bound(node_runtime.function("recorded" if case.table else "plain", environment))

    def _in_python(self, handler: str, case: Case) -> Function:
        stage = self._stage
        environment = {
            **stage.environment,
            **self._python.environment,
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": stage.uploads,
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": stage.processed,
            "IMAGE_PROCESSOR_RECIPE": "recipe.toml",
            **DEPLOYED,
            **({"IMAGE_PROCESSOR_TABLE": stage.table} if case.table else {}),
        }
        return self._bound(
            python_function(
                handler,
                _package(case),
                python=self._python.command,
                runtime=RUNTIME,
                environment=environment,
                name=handler,
            )
        )

    def _bound(self, function: Function) -> Function:
        return replace(function, command=("taskset", "--cpu-list", self._core, *function.command))


def _compare(stage: Stage, functions: Functions, case: Case) -> Iterator[Row]:
    """Until the first rendition is stored, which is judged, and until the answer."""
    runs = _take_turns({"ours": functions.ours(case), "peer": functions.peer(case)}, stage.cold)
    yield _row(f"cold, {case.what}: first stored", runs, "stored", case.bar)
    yield _row(f"cold, {case.what}: answered", runs, "answered")


def _least(stage: Stage, functions: Functions) -> Row:
    """Not ours: how much of the bar Python, its runtime client and both libraries take by themselves."""
    least = functions.probe("least.handler", _PLAIN)
    runs = _take_turns({"ours": least, "peer": functions.peer(_PLAIN)}, stage.cold)
    return _row("cold, the least that Python can do: first stored", runs, "stored")


def _beyond(stage: Stage, functions: Functions, case: Case) -> Row:
    """The part of a warm event's time that is neither engine nor transfer."""
    with Runner(functions.probe("measured_handler.handler", case)) as runner:
        answers = [stage.event(runner).value for _ in range(_WARM_UPS + _RUNS)][_WARM_UPS:]
    parts = ("whole", "engine", "transfers", "beyond")
    whole, engine, transfers, beyond = (1000 * median(answer[part] for answer in answers) for part in parts)
    what = f"warm, {case.what}: beyond engine and transfers"
    shares = f"{engine:.0f}+{transfers:.0f}+{beyond:.1f} of {whole:.0f}"
    return Row(what, shares, "", 100 * beyond / whole, 10, " %")


Runs = Mapping[str, list[dict[str, float]]]


def _take_turns(functions: Mapping[str, Function], measure: Callable[[Function], dict[str, float]]) -> Runs:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in functions}
    for number in range(_WARM_UPS + _RUNS):
        for name, function in functions.items():
            costs = measure(function)
            if number >= _WARM_UPS:
                runs[name].append(costs)
    return runs


def _row(what: str, runs: Runs, moment: str, bar: float | None = None) -> Row:
    """Wall time until ``moment`` is judged; CPU time is that of the whole event."""
    ours, peer = (
        costs_of({"cpu": run["cpu"], "wall": run[moment]} for run in runs[name]) for name in ("ours", "peer")
    )
    return Row(what, shown(ours), shown(peer), ours[1] / peer[1], bar)


def main() -> int:
    found = rows()
    print(HEADING, *found, sep="\n")
    return 0 if all(row.met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
