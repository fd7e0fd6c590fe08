"""Counts the lines of Python that a call executes, a measure of its work that no other load disturbs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

MAX_CPU_SECONDS = 5.0
"""For work inside one line, such as a regular expression that backtracks. Far above what any input takes."""


class TooMuchWork(BaseException):
    """Not an Exception, which the code under test might catch."""


def lines_executed(check: Callable[[bytes], None], data: bytes, limit: int) -> int:
    """How many lines ``check(data)`` executes. Raises TooMuchWork above ``limit`` lines, or CPU seconds."""
    lines = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        if lines > limit:
            raise TooMuchWork(
                f"expected at most {limit} lines for {len(data)} bytes, got more: {data[:200]!r}"
            )
        return count

    before, start = sys.gettrace(), time.thread_time()
    sys.settrace(count)
    try:
        check(data)
    finally:
        sys.settrace(before)
    seconds = time.thread_time() - start
    if seconds > MAX_CPU_SECONDS:
        raise TooMuchWork(f"expected at most {MAX_CPU_SECONDS} s of CPU, got {seconds:.1f}: {data[:200]!r}")
    return lines
