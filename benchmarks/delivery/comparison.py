"""Measures the read path: fidelity, misses and mixed traffic beside thumbor, hits beside thumbor and a plain
file of nginx, misses beside ipx, and the goodput at four times the load.

Runs of all sides alternate and medians are compared, so that other load on the machine hits each.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from types import MappingProxyType

from benchmarks.npm import install
from benchmarks.table import Row

from .fidelity import Fidelity, reference_pixels
from .overload import send_requests
from .servers import IPX, THUMBOR
from .setup import SIDES, Setup, beside_ipx, decoding_each, for_pages, running_servers
from .targets import IPX_KINDS, KINDS, Target, mixed, widths_of
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

_RANGE = 16_000
_HITS_BESIDE_THUMBOR, _HITS_BESIDE_NGINX = 3.0, 0.25

Runs = Mapping[str, Run]


def print_rows(parts: Sequence[str] | None = None) -> list[Row]:
    """Print each row as soon as it is measured, and return all. They take some minutes. ``parts`` are keys of
    PARTS, None for all."""
    printed: list[Row] = []
    for row in rows(list(PARTS) if parts is None else parts):
        if not printed:
            print(HEADING)
        print(row, flush=True)
        printed.append(row)
    return printed


def rows(parts: Sequence[str]) -> Iterator[Row]:
    """The measurements. Prints why and yields none where a prerequisite is missing."""
    missing = _missing()
    if missing:
        print(f"*** THE READ PATH IS NOT MEASURED: {missing}. ***", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder, running_servers(Path(folder)) as setup:
        for part in parts:
            yield from PARTS[part](setup)


def _missing() -> str | None:
    for program in ("wrk", "nginx"):
        if shutil.which(program) is None:
            return f"{program} is not on the PATH; Debian's package has that name"
    return None if THUMBOR.exists() else "there is no .venv-bench, which `make bench` installs"


def _fidelity(setup: Setup, sides: Sequence[str] = SIDES, kinds: Sequence[str] = KINDS) -> Iterator[Row]:
    """For each kind the mean over all photographs, at sizes that do and do not divide theirs. Judged is
    the mean over all kinds, as for misses."""
    total: dict[str, list[Fidelity]] = {side: [] for side in sides}
    for kind in kinds:
        found: dict[str, list[Fidelity]] = {side: [] for side in sides}
        for key, width in product(setup.photographs, widths_of(kind)[::40]):
            target = Target(key, kind, width)
            reference = reference_pixels(setup.originals / key, target)
            for side in sides:
                found[side].append(Fidelity.of(setup.get(side, target), reference))
        yield _psnr(kind, found)
        for side in sides:
            total[side] += found[side]
    yield _psnr(f"misses, beside {sides[1]}", total, bar=0)


def _psnr(name: str, found: Mapping[str, Sequence[Fidelity]], bar: float | None = None) -> Row:
    ours, theirs = (Fidelity.mean_of(items) for items in found.values())
    value = ours.psnr - theirs.psnr
    return Row(f"{name}: PSNR and size", str(ours), str(theirs), value, bar, " dB", at_least=True)


def _hits(setup: Setup) -> Iterator[Row]:
    """One signed URL repeatedly: whole, with the client's copy current, and a range; beside the same of
    thumbor, and of a plain file of the same bytes."""
    target = Target(setup.photographs[0], "JPEG", 640)
    body = setup.get("ours", target)
    setup.get("thumbor", target)
    (setup.plain / "plain.jpg").write_bytes(body)
    paths = {"ours": target.path("ours"), "thumbor": target.path("thumbor"), "nginx": "/plain.jpg"}
    tags = {side: setup.servers[side].request(path)[1]["etag"] for side, path in paths.items()}
    current = {side: {"If-None-Match": tag} for side, tag in tags.items()}
    whole: dict[str, dict[str, str]] = {side: {} for side in paths}
    part = {side: {"Range": f"bytes=1000-{999 + _RANGE}"} for side in paths}
    size = f"{len(body) / 1000:.0f} kB"
    yield from _compare_hits(setup, f"hits of {size}", paths, whole, 200)
    yield from _compare_hits(setup, f"304 for {size}", paths, current, 304)
    yield from _compare_hits(setup, f"{_RANGE // 1000} kB of {size}", paths, part, 206)


def _compare_hits(
    setup: Setup, name: str, paths: Mapping[str, str], headers: Mapping[str, Mapping[str, str]], status: int
) -> Iterator[Row]:
    """Rows for each peer; without a bar for one that answers with another status."""
    answers = {side: setup.servers[side].request(path, headers[side])[0] for side, path in paths.items()}
    runs = _alternate({side: partial(_hit, setup, side, path, headers[side]) for side, path in paths.items()})
    for peer, bar in (("thumbor", _HITS_BESIDE_THUMBOR), ("nginx", _HITS_BESIDE_NGINX)):
        is_same = answers[peer] == answers["ours"] == status
        shown = name if is_same else f"{name} (a {answers[peer]})"
        pair = {"ours": runs["ours"], peer: runs[peer]}
        p99 = 1.0 if is_same and peer == "thumbor" else None
        yield from _compare(f"{shown}, beside {peer}", pair, bar if is_same else None, p99)


def _hit(setup: Setup, side: str, path: str, headers: Mapping[str, str]) -> Run:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return drive(setup.servers[side], [path], _CONNECTIONS, _HITS_SECONDS, lines)


def _misses(setup: Setup) -> Iterator[Row]:
    misses = _alternate({side: partial(_miss, setup, side) for side in SIDES})
    yield from _compare("misses, beside thumbor", misses, bar=3.0)


def _first(setup: Setup) -> Iterator[Row]:
    with decoding_each(setup) as both:
        misses = _alternate({side: partial(_miss, both, side) for side in SIDES})
    yield from _compare("first rendition of each photograph, beside thumbor", misses)


def _pages(setup: Setup) -> Iterator[Row]:
    pages = for_pages(setup)
    misses = _alternate({side: partial(_miss, pages, side) for side in SIDES})
    yield from _compare("misses of pages, 8 of a photograph, beside thumbor", misses, bar=3.0)


def _mixed(setup: Setup) -> Iterator[Row]:
    warm = {side: _warm(setup, side) for side in SIDES}
    runs = _alternate({side: partial(_mix, setup, side, warm[side]) for side in SIDES})
    yield from _compare("9 hits to 1 miss, beside thumbor", runs, bar=3.0)


def _ipx(setup: Setup) -> Iterator[Row]:
    """Misses in ipx's settings, which renders each request anew: by several clients, and by one alone."""
    if shutil.which("node") is None or not install(IPX):
        print("*** NOT COMPARED WITH ipx: node or npm is missing. ***", file=sys.stderr)
        return
    with beside_ipx(setup) as both:
        yield from _fidelity(both, ("ours", "ipx"), IPX_KINDS)
        runs = _alternate({side: partial(_miss, both, side) for side in both.servers})
        yield from _compare("misses, beside ipx", runs, bar=1.1)
        runs = _alternate({side: partial(_miss, both, side, 1) for side in both.servers})
        ours, peer = runs["ours"], runs["ipx"]
        waits = f"{1000 * ours.p50:.0f} ms", f"{1000 * peer.p50:.0f} ms"
        yield Row("misses of one client, beside ipx: p50", *waits, ours.p50 / peer.p50, 1.0)


def _miss(setup: Setup, side: str, connections: int = _CONNECTIONS) -> Run:
    targets = setup.cold(side, _MAX_MISSES)
    run = _request_once(setup, side, targets, _MISSES_SECONDS, connections)
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


def _request_once(
    setup: Setup, side: str, targets: Sequence[Target], seconds: int, connections: int = _CONNECTIONS
) -> Run:
    """Request each target once. Raises RuntimeError if they run out, since the rest would be hits."""
    run = drive(setup.servers[side], [target.path(side) for target in targets], connections, seconds)
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


def _compare(name: str, runs: Runs, bar: float | None = None, p99_bar: float | None = None) -> Iterator[Row]:
    """Throughput and latency, each with its bar if it has one."""
    ours, peer = runs.values()
    yield Row(name, str(ours), str(peer), ours.rate / peer.rate, bar, at_least=True)
    latencies = f"{1000 * ours.p99:.1f} ms", f"{1000 * peer.p99:.1f} ms"
    yield Row(f"... p99 of {_CONNECTIONS} connections", *latencies, ours.p99 / peer.p99, p99_bar)


PARTS: Mapping[str, Callable[[Setup], Iterator[Row]]] = MappingProxyType(
    {
        "fidelity": _fidelity,
        "hits": _hits,
        "misses": _misses,
        "first": _first,
        "pages": _pages,
        "mixed": _mixed,
        "ipx": _ipx,
        "overload": _overload,
    }
)
