"""The read path's figures: fidelity, misses and mixed traffic beside thumbor, hits beside a plain file
of our own server, and what is left of the throughput when four times as much is asked for.

Runs of the sides alternate, and medians are compared: others may use the machine meanwhile.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from benchmarks.table import Row

from .fidelity import Fidelity, wanted_pixels
from .overload import offer
from .servers import THUMBOR
from .stage import SIDES, Stage, staged
from .targets import KINDS, Target, mixed, widths_of
from .wrk import Run, drive

HEADING = f"{'':<48} {'ours /s / cpu ms':>18} {'peer /s / cpu ms':>18} {'judged':>10} {'bar':>6}"

_ROUNDS = 5
_CONNECTIONS = 8
_MISSES_SECONDS, _MIXED_SECONDS, _HITS_SECONDS = 6, 5, 3
_MISSES_AT_MOST, _MIXED_AT_MOST = 600, 4000
"""More than either server answers in one run on a machine of two cores."""

_WARM = 100
_OVERLOAD, _OVERLOAD_SECONDS = 4, 60
_GOOD = 0.8

Runs = Mapping[str, Run]


def told() -> list[Row]:
    """The rows, each printed as soon as it is known: they take some minutes."""
    found: list[Row] = []
    for row in rows():
        if not found:
            print(HEADING)
        print(row, flush=True)
        found.append(row)
    return found


def rows() -> Iterator[Row]:
    """The figures; none where something that they need is missing, which is then said."""
    missing = _missing()
    if missing:
        print(f"*** THE READ PATH IS NOT MEASURED: {missing}. ***", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        yield from _fidelity(stage)
        yield from _hits(stage)
        misses = _alternate({side: partial(_miss, stage, side) for side in SIDES})
        yield from _compared("misses, beside thumbor", misses, bar=1.5)
        warm = {side: _warm(stage, side) for side in SIDES}
        mixed_runs = _alternate({side: partial(_mix, stage, side, warm[side]) for side in SIDES})
        yield from _compared("9 hits to 1 miss, beside thumbor", mixed_runs)
        yield from _overload(stage)


def _missing() -> str | None:
    if shutil.which("wrk") is None:
        return "wrk is not on the PATH; Debian's package is called wrk"
    return None if THUMBOR.exists() else "there is no .venv-bench, which `make bench` installs"


def _fidelity(stage: Stage) -> Iterator[Row]:
    """Of each kind, over all photographs, at sizes that do and that do not divide theirs; judged is the
    mean of all kinds, as misses are judged by all kinds together."""
    every: dict[str, list[Fidelity]] = {side: [] for side in SIDES}
    for kind in KINDS:
        found: dict[str, list[Fidelity]] = {side: [] for side in SIDES}
        for key, width in product(stage.photographs, widths_of(kind)[::40]):
            target = Target(key, kind, width)
            wanted = wanted_pixels(stage.originals / key, target)
            for side in SIDES:
                found[side].append(Fidelity.of(stage.get(side, target), wanted))
        yield _psnr(kind, found)
        for side in SIDES:
            every[side] += found[side]
    yield _psnr("misses", every, bar=0)


def _psnr(what: str, found: Mapping[str, Sequence[Fidelity]], bar: float | None = None) -> Row:
    ours, theirs = (Fidelity.middle(found[side]) for side in SIDES)
    value = ours.psnr - theirs.psnr
    return Row(f"{what}: PSNR and size", str(ours), str(theirs), value, bar, " dB", at_least=True)


def _hits(stage: Stage) -> Iterator[Row]:
    """One signed URL again and again, beside a plain file of the same size and server, and thumbor."""
    target = Target(stage.photographs[0], "JPEG", 640)
    body = stage.get("ours", target)
    stage.get("thumbor", target)
    (stage.plain / "plain.jpg").write_bytes(body)
    asked = {"ours": target.path("ours"), "plain": "/static/plain.jpg", "thumbor": target.path("thumbor")}
    runs = _alternate({name: partial(_hit, stage, name, path) for name, path in asked.items()})
    beside_plain = {"ours": runs["ours"], "peer": runs["plain"]}
    yield from _compared(f"hits of {len(body) / 1000:.0f} kB, beside a plain file", beside_plain, bar=0.7)
    yield from _compared("hits, beside thumbor", {side: runs[side] for side in SIDES})


def _hit(stage: Stage, name: str, path: str) -> Run:
    return drive(
        stage.servers["thumbor" if name == "thumbor" else "ours"], [path], _CONNECTIONS, _HITS_SECONDS
    )


def _miss(stage: Stage, side: str) -> Run:
    targets = stage.cold(side, _MISSES_AT_MOST)
    run = _asked_once(stage, side, targets, _MISSES_SECONDS)
    stage.used(side, run.asked)
    return run


def _warm(stage: Stage, side: str) -> Sequence[Target]:
    """Targets that ``side`` has made."""
    targets = stage.cold(side, _WARM)
    for target in targets:
        stage.get(side, target)
    stage.used(side, _WARM)
    return targets


def _mix(stage: Stage, side: str, warm: Sequence[Target]) -> Run:
    cold = stage.cold(side, _MIXED_AT_MOST // 5)
    run = _asked_once(stage, side, mixed(warm, cold, _MIXED_AT_MOST), _MIXED_SECONDS)
    stage.used(side, len(cold))
    return run


def _asked_once(stage: Stage, side: str, targets: Sequence[Target], seconds: int) -> Run:
    """Raises RuntimeError if there are too few targets: the rest would be hits."""
    run = drive(stage.servers[side], [target.path(side) for target in targets], _CONNECTIONS, seconds)
    if run.asked > len(targets):
        raise RuntimeError(f"expected at most {len(targets)} answers in {seconds} s, got {run.asked}")
    return run


def _overload(stage: Stage) -> Iterator[Row]:
    """Our misses, four times as many as at the peak, whether or not they are answered. The peak is
    measured before and after: what else goes on here does not stay the same for so long."""
    before = _miss(stage, "ours")
    rate = _OVERLOAD * before.rate
    targets = stage.cold("ours", int(rate * _OVERLOAD_SECONDS))
    paths = iter([target.path("ours") for target in targets])
    offered = offer(stage.servers["ours"].port, paths, rate, _OVERLOAD_SECONDS)
    stage.used("ours", len(targets))
    if offered.wrong:
        raise RuntimeError(f"expected 200, or 503 with Retry-After, and a green /health, got {offered.wrong}")
    peak = (before.rate + _miss(stage, "ours").rate) / 2
    rates = f"{offered.goodput:.0f}", f"{peak:.0f}"
    yield Row(f"goodput of {rate:.0f} misses/s offered", *rates, offered.goodput / peak, _GOOD, at_least=True)
    waits = f"{offered.p99(offered.answers):.2f} s", f"{offered.p99(offered.health):.2f} s"
    yield Row("... p99: of those made, of /health", *waits, offered.p99(offered.answers), unit=" s")


def _alternate(measure: Mapping[str, Callable[[], Run]]) -> Runs:
    """The medians of rounds in which everybody has a turn; one more before them is not counted."""
    runs: dict[str, list[Run]] = {name: [] for name in measure}
    for number in range(1 + _ROUNDS):
        for name, run in measure.items():
            one = run()
            if number:
                runs[name].append(one)
    return {name: Run.middle(several) for name, several in runs.items()}


def _compared(what: str, runs: Runs, bar: float | None = None) -> Iterator[Row]:
    """Throughput, which is judged, and latency, which is told."""
    ours, peer = runs.values()
    yield Row(what, str(ours), str(peer), ours.rate / peer.rate, bar, at_least=True)
    latencies = f"{1000 * ours.p99:.0f} ms", f"{1000 * peer.p99:.0f} ms"
    yield Row(f"... p99 of {_CONNECTIONS} connections", *latencies, ours.p99 / peer.p99)
