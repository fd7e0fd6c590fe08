"""Runs hostile bytes through the real isolated renderer and tells what came of each, and what it cost."""

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
"""Of one render. The default is 60: what is slow is then found slower, and not otherwise."""

CRASHES = frozenset({Reason.ENGINE_FAILED, Reason.DECODER_CRASHED})
"""The first is a fault of ours on whatever input. The second is a decoder's, which the child is for; none
is known, so that one that comes up is worth a look."""


@dataclass
class Told:
    """What came of many inputs: how often each reason (None where something was rendered), the worst
    figures of a child, and the names of what must not be."""

    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    peak_mebibytes: float = 0
    children: int = 0

    def add(self, other: Told) -> None:
        self.reasons += other.reasons
        self.wrong += other.wrong
        self.peak_mebibytes = max(self.peak_mebibytes, other.peak_mebibytes)
        self.children += other.children

    def __str__(self) -> str:
        cost = f"peak {self.peak_mebibytes:.0f} MiB, {self.children} children"
        return f"{sum(self.reasons.values())} inputs, {cost}: {dict(self.reasons)}"


class Victim:
    """An isolated renderer whose child is watched. ``bodies`` are those of the last renditions."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(svg=True, cpu_seconds=CPU_SECONDS)
        self.told = Told()
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
            self.told.children += 1
            # The first picture loads what every later one uses.
            self._renderer.render(_FIRST, WANTED, self.limits)

    @property
    def pid(self) -> int:
        child = self._renderer._child
        assert child is not None
        return child.pid

    def try_one(self, name: str, data: bytes, *, icc: IccPolicy = IccPolicy.STRIP) -> str:
        """The reason for its refusal, or `rendered`; what must not be is told as `wrong`."""
        self._start()
        before = self.pid
        try:
            made = self._renderer.render(data, WANTED, self.limits, icc=icc)
        except Refused as refused:
            outcome = str(Reason(refused.reason))
            if refused.reason in CRASHES or "vips" in refused.message.lower():
                self.told.wrong.append(f"{name}: {refused}")
        else:
            outcome = "rendered"
            self.bodies = [rendition.body for rendition in made.renditions]
            if any(not _right(rendition.body, rendition.metadata.format) for rendition in made.renditions):
                self.told.wrong.append(f"{name}: a rendition of another format")
        self.told.reasons[outcome] += 1
        if self._renderer._child is not None:
            peak = peak_mebibytes(before)
            if peak > PEAK_MEBIBYTES:
                self.told.wrong.append(f"{name}: {peak:.0f} MiB")
                self._renderer.close()
            self.told.peak_mebibytes = max(self.told.peak_mebibytes, peak)
        return outcome


def run(inputs: Iterable[tuple[str, Callable[[], bytes]]], limits: Limits | None = None) -> Told:
    """Every input in turn, in one child as long as it lives; none may be what is `wrong`."""
    with Victim(limits) as victim:
        for name, make in inputs:
            victim.try_one(name, make())
    return victim.told


def limits_of(number: int) -> Limits:
    """Strict and lenient in turn: what may end early is decoded further."""
    policy = TruncatedPolicy.LENIENT if number % 2 else TruncatedPolicy.STRICT
    return Limits(svg=True, cpu_seconds=CPU_SECONDS, truncated=policy)


def peak_mebibytes(pid: int) -> float:
    """The most memory that was resident, ever (proc(5), VmHWM) or since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def forget_peak(pid: int) -> None:
    """Count the peak from what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _right(body: bytes, format_name: str) -> bool:
    signs = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG", "webp": b"RIFF"}
    return body.startswith(signs[FORMATS[format_name].name])


_FIRST = bytes.fromhex("47494638396101000100800000ffffff0000002c00000000010001000002024401003b")
