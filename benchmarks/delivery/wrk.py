"""Runs of wrk against a server, with what they cost it."""

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
    """One run: answers a second, seconds of CPU of the server for each, and the latencies' median and
    99th percentile in seconds. ``asked`` is how many paths were begun with."""

    rate: float
    cpu: float
    p50: float
    p99: float
    asked: int

    @classmethod
    def middle(cls, runs: Sequence[Self]) -> Self:
        """The medians of several runs."""
        rate, cpu, p50, p99 = (median(getattr(run, name) for run in runs) for name in _FIGURES)
        return cls(rate, cpu, p50, p99, sum(run.asked for run in runs))

    def __str__(self) -> str:
        return f"{self.rate:.0f} / {1000 * self.cpu:.2f}"


_FIGURES = ("rate", "cpu", "p50", "p99")


def drive(server: Server, paths: Sequence[str], connections: int, seconds: int) -> Run:
    """Ask for ``paths`` one after the other, over ``connections`` that each wait for their answer.
    Raises RuntimeError if any answer is an error."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(paths))
        file.flush()
        cpu = server.cpu_seconds()
        printed = subprocess.run(
            [
                *("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s"),
                *("-s", _SCRIPT, f"http://127.0.0.1:{server.port}", "--", file.name),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        cpu = server.cpu_seconds() - cpu
    told = json.loads(printed.splitlines()[-1])
    if told["failed"] or not told["requests"]:
        raise RuntimeError(f"{told['failed']} of {told['requests']} requests failed:\n{printed}")
    answered = told["requests"]
    return Run(answered / told["seconds"], cpu / answered, told["p50"], told["p99"], answered + connections)
