"""CPU time and memory of a process and all its descendants, from /proc."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.01


def cpu_seconds(root: int) -> float:
    """CPU time so far of ``root`` and all its descendants, also of those that have ended."""
    return sum(_own_and_reaped(pid) for pid in tree(root))


def proportional_bytes(root: int) -> int:
    """The memory of ``root`` and all its descendants. What several of them share counts once (PSS)."""
    return sum(_proportional_bytes(pid) for pid in tree(root))


class PeakMemory:
    """The peak of `proportional_bytes` from entry to exit, sampled in a thread about 50 times a second."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.is_set():
            self.bytes = max(self.bytes, proportional_bytes(self._root))
            time.sleep(_SAMPLE_SECONDS)


def tree(root: int) -> set[int]:
    """The process ids of ``root`` and all its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _own_and_reaped(pid: int) -> float:
    fields = _stat(pid)  # user, system, and both of children that have ended: proc(5), 14 to 17
    return sum(map(int, fields[11:15])) / _TICKS if fields else 0.0


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _stat(pid: int) -> list[str]:
    """The fields behind the program's name, in proc(5)'s order; none for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []
