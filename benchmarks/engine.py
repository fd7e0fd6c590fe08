"""The engine beside sharp: CPU time for the same renditions of the same photographs.

And beside libvips called by hand, which says what part of a ratio to sharp can be won at all. Runs of all
sides alternate and medians are compared, with the bytes of each and their SSIMULACRA2 beside.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .costs import lambda_row
from .npm import install
from .photographs import make_photograph
from .table import Row, costs_of, format_costs, missing

_HERE = Path(__file__).parent
SHARP = _HERE / "sharp"
_SCORING_PYTHON = _HERE.parent / ".venv-bench" / "bin" / "python"
_MEGABYTE = 1024 * 1024
_RUNS, _FEW_RUNS = 15, 5

_FLOOR_BAR = 1.05
"""For equal output, byte for byte."""

_BYTES_BAR = 1.1
_SCORE_BAR = 0.0
"""Our score may not be the lower, by however little."""

Answers = Mapping[str, Sequence[Mapping[str, Any]]]


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

    def run(self, task: str, path: Path, into: Path | None = None) -> dict[str, Any]:
        """The costs of one task. With ``into`` it also writes the renditions there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"task": task, "path": str(path)} | ({"into": str(into)} if into else {})
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended during the task {task}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def render_worker() -> Worker:
    return Worker(sys.executable, "-m", "benchmarks.render_worker", directory=_HERE.parent)


def sharp_worker() -> Worker:
    """Raises RuntimeError where it cannot be installed."""
    node = shutil.which("node")
    if node is None or not install(SHARP):
        raise RuntimeError("node, npm or sharp is missing")
    return Worker(node, "bench.js", directory=SHARP)


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = make_photograph(folder / "large.jpg", 4000, 3000)
        medium = make_photograph(folder / "medium.jpg", 2725, 2225)
        with render_worker() as ours, sharp_worker() as sharp:
            comparison = _Comparison(ours, sharp, folder)
            five = comparison.run("five", ("five-pipelines", "five-clones"), large, _RUNS, by_hand=True)
            webp = comparison.run(
                *("five-webp", ("five-webp-pipelines", "five-webp-clones"), large, _FEW_RUNS), by_hand=True
            )
            recipe = comparison.run("recipe", ("recipe",), large, 2, matched=True)
            one = comparison.run("one", ("one",), medium, _RUNS, by_hand=True)
        matched = {"ours": recipe["matched"], "recipe": recipe["recipe"]}
        return [
            _row("12 MP to five JPEGs, sharp's pipelines: CPU", five, "five-pipelines", bar=0.50),
            _row("12 MP to five JPEGs, sharp's clone(): CPU", five, "five-clones", bar=0.55),
            *_quality("five JPEGs", five, "five-clones"),
            *_floor("five JPEGs", five, "five-pipelines"),
            _row("12 MP to five WebP of effort 4: CPU", webp, _cheapest(webp), bar=0.75),
            *_quality("five WebP", webp, _cheapest(webp)),
            *_floor("five WebP", webp, _cheapest(webp)),
            _row("built-in recipe, sharp's AVIF defaults: CPU", recipe, "recipe", bar=0.10),
            *_quality("built-in recipe", recipe, "recipe"),
            _row("the same for fewer bytes: CPU", matched, "recipe", bar=0.10),
            *_quality("for fewer bytes", matched, "recipe"),
            _row("2725 x 2225 JPEG to 720 wide: CPU", one, "one", bar=1.0),
            *_quality("720 wide", one, "one"),
            *_floor("720 wide", one, "one"),
            _peak_memory(large),
            lambda_row("five JPEGs", *_cpu(five, "five-clones"), bar=0.5),
            lambda_row("the built-in recipe, sharp's defaults", *_cpu(recipe, "recipe"), bar=0.5),
        ]


class _Comparison:
    """Runs our task and variants of sharp's in turn."""

    def __init__(self, ours: Worker, sharp: Worker, folder: Path) -> None:
        self._ours = ours
        self._sharp = sharp
        self._folder = folder
        self._originals: dict[int, Path] = {}

    def run(
        self,
        task: str,
        variants: Sequence[str],
        path: Path,
        runs: int,
        *,
        matched: bool = False,
        by_hand: bool = False,
    ) -> Answers:
        """The answers by variant, ours under `ours`, without a first run, which writes the renditions.
        ``matched`` adds our task that is as good as the peer's, ``by_hand`` the one without the engine, and
        ours that makes no more than that."""
        sides = {
            "ours": (self._ours, task),
            **{name: (self._sharp, name) for name in variants},
            **({"matched": (self._ours, f"{task}-matched")} if matched else {}),
            **({name: (self._ours, f"{task}-{name}") for name in ("plain", "by-hand")} if by_hand else {}),
        }
        answers: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
        for number in range(runs + 1):
            for name, (worker, wanted) in sides.items():
                into = None if number else self.folder(task, name)
                answer = worker.run(wanted, path, into)
                if number:
                    answers[name].append(answer | {"path": str(path), "folder": str(self.folder(task, name))})
        return answers

    def folder(self, task: str, name: str) -> Path:
        """Where the renditions of one side are."""
        folder = self._folder / f"{task}-{name}"
        folder.mkdir(exist_ok=True)
        return folder


def _row(name: str, answers: Answers, peer: str, *, bar: float) -> Row:
    ours, theirs = costs_of(answers["ours"]), costs_of(answers[peer])
    return Row(name, format_costs(ours), format_costs(theirs), ours[0] / theirs[0], bar)


def _floor(name: str, answers: Answers, peer: str) -> list[Row]:
    """What is made by hand beside ours, and beside the peer: no engine on these libraries takes less."""
    plain, floor, theirs = (costs_of(answers[side]) for side in ("plain", "by-hand", peer))
    return [
        Row(
            f"... {name}: CPU beside libvips by hand",
            *(format_costs(plain), format_costs(floor)),
            plain[0] / floor[0],
            _FLOOR_BAR,
        ),
        Row(
            f"... {name}: libvips by hand, CPU beside sharp",
            *(format_costs(floor), format_costs(theirs)),
            floor[0] / theirs[0],
        ),
    ]


def _cpu(answers: Answers, peer: str) -> tuple[float, float]:
    return costs_of(answers["ours"])[0], costs_of(answers[peer])[0]


def _cheapest(answers: Answers) -> str:
    return min(
        (name for name in answers if name.startswith("five")), key=lambda name: costs_of(answers[name])
    )


def _quality(name: str, answers: Answers, peer: str) -> list[Row]:
    """Bytes, and the score, of which ours may not be the lower."""
    sizes = [sum(answers[side][0]["bytes"]) / 1000 for side in ("ours", peer)]
    found = [
        Row(
            f"... {name}: bytes",
            f"{sizes[0]:.0f} kB",
            f"{sizes[1]:.0f} kB",
            sizes[0] / sizes[1],
            _BYTES_BAR,
        )
    ]
    if not _SCORING_PYTHON.exists():
        return [*found, missing(f"... {name}: SSIMULACRA2", "there is no .venv-bench")]
    first, other = answers["ours"][0], answers[peer][0]
    command = [str(_SCORING_PYTHON), str(_HERE / "score.py"), first["path"], first["folder"], other["folder"]]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ours, theirs = map(float, printed.split())
    shown = f"{ours:.1f}", f"{theirs:.1f}"
    return [*found, Row(f"... {name}: SSIMULACRA2", *shown, ours - theirs, _SCORE_BAR, at_least=True)]


def _peak_memory(large: Path) -> Row:
    """The peak of a fresh process that renders the five JPEGs once, interpreter included."""
    with render_worker() as ours:
        peak = ours.run("five", large)["peak_bytes"] / _MEGABYTE
    return Row("12 MP to five JPEGs, peak of the renderer", "", "", value=peak, bar=120, unit=" MB")
