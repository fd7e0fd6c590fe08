"""The table of the benchmarks: one row for each measurement, with its bar if it has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

HEADING = f"{'':<52} {'ours cpu/wall ms':>18} {'peer cpu/wall ms':>18} {'value':>10} {'bar':>6}"

Costs = tuple[float, float]
"""Median seconds of CPU and of wall time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. ``ours`` and ``peer`` are printed; ``value`` is compared with ``bar``, if there is
    one: at most that, or at least that if ``at_least``."""

    name: str
    ours: str
    peer: str
    value: float
    bar: float | None = None
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        value = f"{self.value:.2f}{self.unit}"
        bar = "" if self.bar is None else f"{'>' * self.at_least}{self.bar:g}"
        verdict = bar and f"{bar:>6}  {'ok' if self.met else 'MISSED'}"
        return f"{self.name:<52} {self.ours:>18} {self.peer:>18} {value:>10} {verdict}".rstrip()


def missing(name: str, why: str) -> Row:
    """A row for what was not measured, which counts as missed."""
    return Row(name, f"not measured: {why}", "", float("nan"), 0)


def costs_of(answers: Iterable[Mapping[str, Any]]) -> Costs:
    """The medians of the fields ``cpu`` and ``wall``."""
    answers = list(answers)
    return median(answer["cpu"] for answer in answers), median(answer["wall"] for answer in answers)


def format_costs(costs: Costs) -> str:
    """CPU and wall time in milliseconds."""
    cpu, wall = costs
    return f"{cpu * 1000:.0f} / {wall * 1000:.0f}"
