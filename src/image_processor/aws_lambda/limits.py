"""Reports limits of a function that are too small to work. Lambda's defaults are 3 s and 128 MB."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from . import log

MIN_MEGABYTES = 512
"""The template's minimum: libvips, an original and its renditions."""

Handler = Callable[[Any, Any], dict[str, Any]]


def with_limits_checked(handler: Handler, min_seconds: int) -> Handler:
    """``handler``, whose first invocation logs what is below ``min_seconds`` and MIN_MEGABYTES."""
    unchecked = [min_seconds]

    def handle(event: Any, context: Any) -> dict[str, Any]:
        if unchecked:
            log_small_limits(context, unchecked.pop())
        return handler(event, context)

    return handle


def log_small_limits(context: Any, min_seconds: int) -> None:
    """One line for each limit that is too small. The time left to a first invocation is the timeout."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    seconds = -(-remaining() // 1000) if remaining else min_seconds
    if seconds < min_seconds:
        _log(f"expected at least {min_seconds} s for the function's timeout, got {seconds}")
    megabytes = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MIN_MEGABYTES))
    if megabytes < MIN_MEGABYTES:
        _log(f"expected at least {MIN_MEGABYTES} MB for the function's memory, got {megabytes}")


def _log(problem: str) -> None:
    log.line("ERROR", "limits", error=f"{problem}: set it under Configuration, General configuration")
