"""Waiting for what another process will do, where it sends no sign."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LONGEST = 60.0
"""Seconds. No test judges time; this only ends one that would wait for ever."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.1
"""Seconds between two checks. Checks are often requests, and many of them would slow what is awaited."""


def wait_for(condition: Callable[[], T | None], what: str) -> T:
    """The condition's first value that is not None or False. Raises TimeoutError naming ``what``."""
    end, pause = time.monotonic() + LONGEST, FIRST_PAUSE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE)
    raise TimeoutError(f"{what}: not within {LONGEST:g} s")
