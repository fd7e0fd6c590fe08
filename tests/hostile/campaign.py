"""Runs hostile inputs through the real isolated renderer, and reports outcomes and costs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from image_processor.domain.errors import Reason, Refused
from image_processor.domain.formats import FORMATS
from image_processor.domain.models import IccPolicy, Limits, TruncatedPolicy
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer

WANTED = [parse(text) for text in ("w=20,fm=jpeg", "w=12,h=12,g=attention,fm=webp", "fm=png")]
PEAK_MEBIBYTES = 512
CPU_SECONDS = 10
"""The limit for one render; the default of Limits is 60, which would only make slow inputs slower to find."""

CRASHES = frozenset({Reason.ENGINE_FAILED, Reason.DECODER_CRASHED})
"""The first is a bug of this program. The second is a bug of a decoder, which the child contains; none is
known, so each is reported."""


@dataclass
class CampaignReport:
    """The outcomes of many inputs: how often each reason or `rendered`, the highest peak of a child, and the
    failures by name."""

    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak_mebibytes: float = 0
    children: int = 0

    def add(self, other: CampaignReport) -> None:
        self.reasons += other.reasons
        self.failures += other.failures
        self.peak_mebibytes = max(self.peak_mebibytes, other.peak_mebibytes)
        self.children += other.children

    def __str__(self) -> str:
        cost = f"peak {self.peak_mebibytes:.0f} MiB, {self.children} children"
        return f"{sum(self.reasons.values())} inputs, {cost}: {dict(self.reasons)}"


class MeasuredRenderer:
    """An isolated renderer whose child is measured. ``bodies`` are those of the last renditions."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(svg=True, cpu_seconds=CPU_SECONDS)
        self.report = CampaignReport()
        self.bodies: list[bytes] = []
        self._renderer = IsolatedRenderer()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    def _start(self) -> None:
        if self._renderer._child is None:
            self._renderer.warm()
            self.report.children += 1
            # The first image loads libraries that all later ones use.
            self._renderer.render(_WARM_UP, WANTED, self.limits)

    @property
    def pid(self) -> int:
        child = self._renderer._child
        assert child is not None
        return child.pid

    def try_input(self, name: str, data: bytes, *, icc: IccPolicy = IccPolicy.STRIP) -> str:
        """The reason of the refusal, or `rendered`. Crashes, leaks and excessive memory are recorded as
        failures."""
        self._start()
        before = self.pid
        try:
            rendered = self._renderer.render(data, WANTED, self.limits, icc=icc)
        except Refused as refused:
            outcome = str(Reason(refused.reason))
            if refused.reason in CRASHES or "vips" in refused.message.lower():
                self.report.failures.append(f"{name}: {refused}")
        else:
            outcome = "rendered"
            self.bodies = [rendition.body for rendition in rendered.renditions]
            if any(not _has_signature(item.body, item.metadata.format) for item in rendered.renditions):
                self.report.failures.append(f"{name}: a rendition of another format")
        self.report.reasons[outcome] += 1
        if self._renderer._child is not None:
            peak = peak_mebibytes(before)
            if peak > PEAK_MEBIBYTES:
                self.report.failures.append(f"{name}: {peak:.0f} MiB")
                self._renderer.close()
            self.report.peak_mebibytes = max(self.report.peak_mebibytes, peak)
        return outcome


def run(inputs: Iterable[tuple[str, Callable[[], bytes]]], limits: Limits | None = None) -> CampaignReport:
    """Render every input, in one child as long as it lives."""
    with MeasuredRenderer(limits) as renderer:
        for name, make in inputs:
            renderer.try_input(name, make())
    return renderer.report


def limits_of(number: int) -> Limits:
    """Strict and lenient in turn."""
    policy = TruncatedPolicy.LENIENT if number % 2 else TruncatedPolicy.STRICT
    return Limits(svg=True, cpu_seconds=CPU_SECONDS, truncated=policy)


def peak_mebibytes(pid: int) -> float:
    """The peak of resident memory (proc(5), VmHWM), of the process or since `reset_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def reset_peak(pid: int) -> None:
    """Start a new peak from what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _has_signature(body: bytes, format_name: str) -> bool:
    signatures = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG", "webp": b"RIFF"}
    return body.startswith(signatures[FORMATS[format_name].name])


_WARM_UP = bytes.fromhex("47494638396101000100800000ffffff0000002c00000000010001000002024401003b")
