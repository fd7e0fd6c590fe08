"""Runs wrk against a server and measures throughput, latency and the server's CPU time."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

from .servers import Server

_SCRIPT = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True, slots=True)
class Run:
    """One run: responses a second, the server's CPU seconds per response, the median and the 99th
    percentile of the latency in seconds, and an upper bound of the paths ``requested``."""

    rate: float
    cpu: float
    p50: float
    p99: float
    requested: int

    @classmethod
    def median_of(cls, runs: Sequence[Self]) -> Self:
        """The medians of several runs."""
        rate, cpu, p50, p99 = (median(getattr(run, name) for run in runs) for name in _FIGURES)
        return cls(rate, cpu, p50, p99, sum(run.requested for run in runs))

    def __str__(self) -> str:
        return f"{self.rate:.0f} / {1000 * self.cpu:.2f}"


_FIGURES = ("rate", "cpu", "p50", "p99")


def drive(
    server: Server, paths: Sequence[str], connections: int, seconds: int, headers: Sequence[str] = ()
) -> Run:
    """Request ``paths`` in order with these header lines, over ``connections`` that each wait for their
    response. Raises RuntimeError if any response is an error."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(paths))
        file.flush()
        cpu = server.cpu_seconds()
        printed = subprocess.run(
            [
                *("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s"),
                *(argument for line in headers for argument in ("-H", line)),
                *("-s", _SCRIPT, f"http://127.0.0.1:{server.port}", "--", file.name),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        cpu = server.cpu_seconds() - cpu
    report = json.loads(printed.splitlines()[-1])
    if report["failed"] or not report["requests"]:
        raise RuntimeError(f"{report['failed']} of {report['requests']} requests failed:\n{printed}")
    answered = report["requests"]
    return Run(
        answered / report["seconds"], cpu / answered, report["p50"], report["p99"], answered + connections
    )
