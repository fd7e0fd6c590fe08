"""Limits of CPU time and memory, enforced by the kernel: SIGXCPU ends the process even inside a decoder,
where no Python code runs.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil


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


def _within(soft: int, hard: int) -> int:
    return soft if hard == resource.RLIM_INFINITY else min(soft, hard)
