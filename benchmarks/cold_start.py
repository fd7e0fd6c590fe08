"""Cold starts: our Lambda functions beside the same work in Node with sharp and the AWS SDK.

Our functions run from the package that is deployed, Node's from a minified bundle. Each runs in an
optimised build of the runtime version that Lambda has, through AWS's own runtime client. S3 and
DynamoDB are emulated, once for both.

The clock starts with the runtime's process. For *process* it stops when S3 begins to answer the PUT
of the first rendition, for *deliver* when the answer with the bytes of a stored rendition arrives.
The functions share one core, one at a time; everything else has the other cores.
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
from pathlib import Path
from statistics import median

from support.aws_emulation.runtime_api import Function, Runner, python_function
from support.aws_emulation.server import PYTHON, RUNTIME

from . import node_runtime, python_runtime
from .emulated_aws import ROOT, EmulatedAws
from .python_runtime import Python
from .table import HEADING, Row, costs_of, format_costs

_PACKAGES = ROOT / "build" / "process-bench"
_HANDLERS = Path(__file__).parent / "handlers"
_ARCH = {"x86_64": "x86_64", "aarch64": "arm64"}
_WARM_UPS, _RUNS = 2, 15
TEMPLATE_ENVIRONMENT = {"VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "2", "MALLOC_TOP_PAD_": "16777216"}
"""Variables that deployment/template.yaml sets for every function."""
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
    """One comparison. ``bar``: the largest part of the peer's time that ours may take."""

    name: str
    table: bool
    bar: float | None
    widths: str = "720"


_PROCESS = (
    Case("720 wide, no table", table=False, bar=0.65),
    Case("720 wide, table", table=True, bar=0.75),
    Case("four widths, table", table=True, bar=None, widths="320,640,1280,1920"),
)
_DELIVER = (
    Case("stored rendition, no table", table=False, bar=0.55),
    Case("stored rendition, table", table=True, bar=0.55),
)


def rows() -> list[Row]:
    """The measurements. Prints why and returns none where a prerequisite is missing."""
    missing = _missing()
    if missing:
        print(f"*** NO COLD STARTS: {missing}. ***", file=sys.stderr)
        return []
    node_runtime.bundle()
    for case in _PROCESS:
        _build(case)
    python = python_runtime.find()
    print(f"cold starts: ours in {python.name}, the peer in {node_runtime.name()}")
    with (
        tempfile.TemporaryDirectory() as folder,
        _reserved_core() as core,
        EmulatedAws(Path(folder)) as cloud,
    ):
        functions = Functions(cloud, core, python)
        return [
            *(row for case in _DELIVER for row in _compare_deliver(cloud, functions, case)),
            *(row for case in _PROCESS for row in _compare_process(cloud, functions, case)),
            _minimum(cloud, functions),
            *(_overhead(cloud, functions, case) for case in _PROCESS[:2]),
        ]


def _missing() -> str | None:
    if not PYTHON.exists():
        return "there is no .venv-aws, which `make test` installs"
    if not shutil.which("taskset"):
        return "taskset is missing"
    if len(os.sched_getaffinity(0)) == 1:
        return "the function and the emulator need a core each"
    return node_runtime.missing()


def _build(case: Case) -> None:
    """Build the Lambda package with the case's recipe in it."""
    _PACKAGES.mkdir(parents=True, exist_ok=True)
    recipe = _PACKAGES / f"{case.widths}.toml"
    recipe.write_text(_RECIPE.format(widths=case.widths))
    command = (sys.executable, ROOT / "deployment" / "build.py", "process", "--recipe", recipe)
    target = ("--into", _package(case), "--arch", _ARCH[platform.machine()])
    subprocess.run([*command, *target], check=True)


def _package(case: Case) -> Path:
    return _PACKAGES / case.widths


@contextmanager
def _reserved_core() -> Iterator[int]:
    """Yield the number of a core for the functions; this process and its others keep off it."""
    cores = os.sched_getaffinity(0)
    core = max(cores)
    os.sched_setaffinity(0, cores - {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, cores)


class Functions:
    """The compared functions, each as Lambda would start it."""

    def __init__(self, cloud: EmulatedAws, core: int, python: Python) -> None:
        self._cloud = cloud
        self._core = str(core)
        self._python = python

    def ours(self, name: str, case: Case) -> Function:
        """Our function `process` or `deliver`."""
        return self._in_python(f"image_processor.aws_lambda.{name}", case)

    def handler(self, name: str, case: Case) -> Function:
        """A handler of benchmarks/handlers, with our package beside it."""
        function = self._in_python(name, case)
        path = os.pathsep.join((function.environment["PYTHONPATH"], str(_HANDLERS)))
        return replace(function, environment={**function.environment, "PYTHONPATH": path})

    def peer(self, module: str, case: Case) -> Function:
        """A function of node_lambda/."""
        environment = {
            **self._cloud.environment,
            "PROCESSED_BUCKET": self._cloud.processed,
            "TABLE": self._cloud.table,
            "WIDTHS": case.widths,
        }
        return self._on_core(node_runtime.function(module, environment))

    def _in_python(self, handler: str, case: Case) -> Function:
        cloud = self._cloud
        environment = {
            **cloud.environment,
            **self._python.environment,
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": cloud.uploads,
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": cloud.processed,
            "IMAGE_PROCESSOR_RECIPE": "recipe.toml",
            **TEMPLATE_ENVIRONMENT,
            **({"IMAGE_PROCESSOR_TABLE": cloud.table} if case.table else {}),
        }
        return self._on_core(
            python_function(
                handler,
                _package(case),
                python=self._python.command,
                runtime=RUNTIME,
                environment=environment,
                name=handler,
            )
        )

    def _on_core(self, function: Function) -> Function:
        return replace(function, command=("taskset", "--cpu-list", self._core, *function.command))


def _compare_process(cloud: EmulatedAws, functions: Functions, case: Case) -> Iterator[Row]:
    """Time until the first rendition is stored, which has the bar, and until the response."""
    peer = functions.peer("process_table" if case.table else "process", case)
    runs = _alternate({"ours": functions.ours("process", case), "peer": peer}, cloud.cold_process)
    yield _row(f"cold process, {case.name}: first stored", runs, "stored", case.bar)
    yield _row(f"cold process, {case.name}: answered", runs, "answered")


def _compare_deliver(cloud: EmulatedAws, functions: Functions, case: Case) -> Iterator[Row]:
    compared = {"ours": functions.ours("deliver", case), "peer": functions.peer("deliver", case)}
    runs = _alternate(compared, cloud.cold_deliver)
    yield _row(f"cold deliver, {case.name}", runs, "answered", case.bar)


def _minimum(cloud: EmulatedAws, functions: Functions) -> Row:
    """The share of Python, its runtime client and both libraries, without our code."""
    case = _PROCESS[0]
    compared = {
        "ours": functions.handler("minimal_handler.handler", case),
        "peer": functions.peer("process", case),
    }
    return _row(
        "cold process, minimal Python handler: first stored",
        _alternate(compared, cloud.cold_process),
        "stored",
    )


def _overhead(cloud: EmulatedAws, functions: Functions, case: Case) -> Row:
    """The part of a warm event's time that is neither engine nor transfer."""
    with Runner(functions.handler("timed_handler.handler", case)) as runner:
        answers = [cloud.upload(runner).value for _ in range(_WARM_UPS + _RUNS)][_WARM_UPS:]
    fields = ("total", "engine", "transfers", "overhead")
    total, engine, transfers, overhead = (
        1000 * median(answer[field] for answer in answers) for field in fields
    )
    name = f"warm process, {case.name}: overhead"
    shares = f"{engine:.0f}+{transfers:.0f}+{overhead:.1f} of {total:.0f}"
    return Row(name, shares, "", 100 * overhead / total, 10, " %")


Runs = Mapping[str, list[dict[str, float]]]


def _alternate(functions: Mapping[str, Function], measure: Callable[[Function], dict[str, float]]) -> Runs:
    """The costs of runs in which the functions take turns, without the warm-ups."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in functions}
    for number in range(_WARM_UPS + _RUNS):
        for name, function in functions.items():
            costs = measure(function)
            if number >= _WARM_UPS:
                runs[name].append(costs)
    return runs


def _row(name: str, runs: Runs, moment: str, bar: float | None = None) -> Row:
    """The ratio of wall times until ``moment``; CPU time is that of the whole event."""
    ours, peer = (
        costs_of({"cpu": run["cpu"], "wall": run[moment]} for run in runs[side]) for side in ("ours", "peer")
    )
    return Row(name, format_costs(ours), format_costs(peer), ours[1] / peer[1], bar)


def main() -> int:
    measured = rows()
    print(HEADING, *measured, sep="\n")
    return 0 if all(row.met for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
