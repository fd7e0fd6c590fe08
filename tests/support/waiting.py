"""Waiting for what another process will do, where it sends no sign."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LONGEST = 60.0
"""Seconds. No test judges time; this only ends one that would wait for ever."""


def wait_for(condition: Callable[[], T | None], what: str) -> T:
    """The condition's first value that is not None or False. Raises TimeoutError naming ``what``."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {LONGEST:g} s")
