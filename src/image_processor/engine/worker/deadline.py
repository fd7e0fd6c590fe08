"""The deadline of CPU time, which the kernel keeps: SIGXCPU ends the process even while it is deep
inside a decoder, where no code of Python's runs.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil


def allow(cpu_seconds: int) -> None:
    """Allow this process so much CPU time from now on; the kernel counts whole seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = ceil(time.process_time()) + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (at_most(soft, hard), hard))


@contextmanager
def allowed(cpu_seconds: int) -> Iterator[None]:
    """As `allow`, until the context ends: then there is as much as there was before."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    allow(cpu_seconds)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)


def at_most(wanted: int, hard: int) -> int:
    """``wanted``, or less where a hard limit is below it."""
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
