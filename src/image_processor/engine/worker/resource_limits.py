"""Limits of CPU time and memory, enforced by the kernel: SIGXCPU ends the process even inside a decoder,
where no Python code runs. Also reads the CPU time of another process, which shows whether it works or
hangs."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path


def limit_cpu(seconds: int) -> None:
    """Allow this process ``seconds`` of CPU time from now on; the kernel counts whole seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = ceil(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (_within(soft, hard), hard))


@contextmanager
def cpu_limit(seconds: int) -> Iterator[None]:
    """As `limit_cpu`, until the context ends; then the limit from before applies again."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    limit_cpu(seconds)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)


def limit_memory(byte_count: int) -> None:
    """Limit the writable memory of this process (RLIMIT_DATA), not its address space (RLIMIT_AS): each
    thread and each malloc arena reserves far more addresses than it uses."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_within(byte_count, hard), hard))


def return_memory() -> None:
    """Return to the system what malloc has free, where the C library has a call for that (glibc)."""
    from ctypes import CDLL  # noqa: PLC0415 - in the isolated child only

    with suppress(AttributeError):
        CDLL(None).malloc_trim(0)


def cpu_seconds_of(pid: int) -> float | None:
    """The CPU time that a process has used, in hundredths of a second; None where it is not known: macOS has
    no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # proc_pid_stat(5): the name, in parentheses, may contain anything. utime and stime are fields 14 and 15.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _within(soft: int, hard: int) -> int:
    return soft if hard == resource.RLIM_INFINITY else min(soft, hard)
