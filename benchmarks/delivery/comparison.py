"""Measures the read path: fidelity, misses and mixed traffic beside thumbor, hits beside a plain file
of our own server, and the goodput at four times the load.

Runs of both sides alternate and medians are compared, so that other load on the machine hits both.
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

from .fidelity import Fidelity, reference_pixels
from .overload import send_requests
from .servers import THUMBOR
from .setup import SIDES, Setup, running_servers
from .targets import KINDS, Target, mixed, widths_of
from .wrk import Run, drive

HEADING = f"{'':<52} {'ours /s / cpu ms':>18} {'peer /s / cpu ms':>18} {'ratio':>10} {'bar':>6}"

_ROUNDS = 5
_CONNECTIONS = 8
_MISSES_SECONDS, _MIXED_SECONDS, _HITS_SECONDS = 6, 5, 3
_MAX_MISSES, _MAX_MIXED = 600, 4000
"""More requests than either server answers in one run on two cores."""

_WARM = 100
_OVERLOAD, _OVERLOAD_SECONDS = 4, 60
_MIN_GOODPUT = 0.8

Runs = Mapping[str, Run]


def print_rows() -> list[Row]:
    """Print each row as soon as it is measured, and return all. They take some minutes."""
    printed: list[Row] = []
    for row in rows():
        if not printed:
            print(HEADING)
        print(row, flush=True)
        printed.append(row)
    return printed


def rows() -> Iterator[Row]:
    """The measurements. Prints why and yields none where a prerequisite is missing."""
    missing = _missing()
    if missing:
        print(f"*** THE READ PATH IS NOT MEASURED: {missing}. ***", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder, running_servers(Path(folder)) as setup:
        yield from _fidelity(setup)
        yield from _hits(setup)
        misses = _alternate({side: partial(_miss, setup, side) for side in SIDES})
        yield from _compare("misses, beside thumbor", misses, bar=1.5)
        warm = {side: _warm(setup, side) for side in SIDES}
        mixed_runs = _alternate({side: partial(_mix, setup, side, warm[side]) for side in SIDES})
        yield from _compare("9 hits to 1 miss, beside thumbor", mixed_runs)
        yield from _overload(setup)


def _missing() -> str | None:
    if shutil.which("wrk") is None:
        return "wrk is not on the PATH; Debian's package is called wrk"
    return None if THUMBOR.exists() else "there is no .venv-bench, which `make bench` installs"


def _fidelity(setup: Setup) -> Iterator[Row]:
    """For each kind the mean over all photographs, at sizes that do and do not divide theirs. Judged is
    the mean over all kinds, as for misses."""
    total: dict[str, list[Fidelity]] = {side: [] for side in SIDES}
    for kind in KINDS:
        found: dict[str, list[Fidelity]] = {side: [] for side in SIDES}
        for key, width in product(setup.photographs, widths_of(kind)[::40]):
            target = Target(key, kind, width)
            reference = reference_pixels(setup.originals / key, target)
            for side in SIDES:
                found[side].append(Fidelity.of(setup.get(side, target), reference))
        yield _psnr(kind, found)
        for side in SIDES:
            total[side] += found[side]
    yield _psnr("misses", total, bar=0)


def _psnr(name: str, found: Mapping[str, Sequence[Fidelity]], bar: float | None = None) -> Row:
    ours, theirs = (Fidelity.mean_of(found[side]) for side in SIDES)
    value = ours.psnr - theirs.psnr
    return Row(f"{name}: PSNR and size", str(ours), str(theirs), value, bar, " dB", at_least=True)


def _hits(setup: Setup) -> Iterator[Row]:
    """One signed URL repeatedly, beside a plain file of the same size on the same server, and thumbor."""
    target = Target(setup.photographs[0], "JPEG", 640)
    body = setup.get("ours", target)
    setup.get("thumbor", target)
    (setup.plain / "plain.jpg").write_bytes(body)
    paths = {"ours": target.path("ours"), "plain": "/static/plain.jpg", "thumbor": target.path("thumbor")}
    runs = _alternate({name: partial(_hit, setup, name, path) for name, path in paths.items()})
    beside_plain = {"ours": runs["ours"], "peer": runs["plain"]}
    yield from _compare(f"hits of {len(body) / 1000:.0f} kB, beside a plain file", beside_plain, bar=0.7)
    yield from _compare("hits, beside thumbor", {side: runs[side] for side in SIDES})


def _hit(setup: Setup, name: str, path: str) -> Run:
    return drive(
        setup.servers["thumbor" if name == "thumbor" else "ours"], [path], _CONNECTIONS, _HITS_SECONDS
    )


def _miss(setup: Setup, side: str) -> Run:
    targets = setup.cold(side, _MAX_MISSES)
    run = _request_once(setup, side, targets, _MISSES_SECONDS)
    setup.mark_used(side, run.requested)
    return run


def _warm(setup: Setup, side: str) -> Sequence[Target]:
    """Targets that ``side`` has rendered."""
    targets = setup.cold(side, _WARM)
    for target in targets:
        setup.get(side, target)
    setup.mark_used(side, _WARM)
    return targets


def _mix(setup: Setup, side: str, warm: Sequence[Target]) -> Run:
    cold = setup.cold(side, _MAX_MIXED // 5)
    run = _request_once(setup, side, mixed(warm, cold, _MAX_MIXED), _MIXED_SECONDS)
    setup.mark_used(side, len(cold))
    return run


def _request_once(setup: Setup, side: str, targets: Sequence[Target], seconds: int) -> Run:
    """Request each target once. Raises RuntimeError if they run out, since the rest would be hits."""
    run = drive(setup.servers[side], [target.path(side) for target in targets], _CONNECTIONS, seconds)
    if run.requested > len(targets):
        raise RuntimeError(f"expected at most {len(targets)} answers in {seconds} s, got {run.requested}")
    return run


def _overload(setup: Setup) -> Iterator[Row]:
    """Send misses to our server at four times its peak rate, without waiting for answers. The peak is
    measured before and after, because other load changes in the meantime."""
    before = _miss(setup, "ours")
    rate = _OVERLOAD * before.rate
    targets = setup.cold("ours", int(rate * _OVERLOAD_SECONDS))
    paths = iter([target.path("ours") for target in targets])
    offered = send_requests(setup.servers["ours"].port, paths, rate, _OVERLOAD_SECONDS)
    setup.mark_used("ours", len(targets))
    if offered.unexpected:
        raise RuntimeError(
            f"expected 200, or 503 with Retry-After, and a green /health, got {offered.unexpected}"
        )
    peak = (before.rate + _miss(setup, "ours").rate) / 2
    rates = f"{offered.goodput:.0f}", f"{peak:.0f}"
    yield Row(
        f"goodput of {rate:.0f} misses/s offered", *rates, offered.goodput / peak, _MIN_GOODPUT, at_least=True
    )
    waits = f"{offered.p99(offered.answers):.2f} s", f"{offered.p99(offered.health):.2f} s"
    yield Row("... p99: of renditions, of /health", *waits, offered.p99(offered.answers), unit=" s")


def _alternate(measure: Mapping[str, Callable[[], Run]]) -> Runs:
    """The medians of rounds in which each side runs once, after a warm-up round."""
    runs: dict[str, list[Run]] = {name: [] for name in measure}
    for number in range(1 + _ROUNDS):
        for name, run in measure.items():
            result = run()
            if number:
                runs[name].append(result)
    return {name: Run.median_of(results) for name, results in runs.items()}


def _compare(name: str, runs: Runs, bar: float | None = None) -> Iterator[Row]:
    """Throughput, which has a bar, and latency, which is only printed."""
    ours, peer = runs.values()
    yield Row(name, str(ours), str(peer), ours.rate / peer.rate, bar, at_least=True)
    latencies = f"{1000 * ours.p99:.0f} ms", f"{1000 * peer.p99:.0f} ms"
    yield Row(f"... p99 of {_CONNECTIONS} connections", *latencies, ours.p99 / peer.p99)
