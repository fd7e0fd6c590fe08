"""How often and how long a request to AWS is tried: exponential backoff with full jitter, within a budget.

As the page "Retry behavior" (AWS SDKs and Tools Reference Guide) describes its standard mode: after
throttling the pauses are longer than after other errors. AWS's own limit of three attempts suits a person who
waits; a function behind a queue waits longer, because its message returns only after the queue's visibility
timeout, and has few tries.
"""

from __future__ import annotations

from math import inf
from time import monotonic

from msgspec import Struct

_FIRST_PAUSE = 0.05
_FIRST_PAUSE_THROTTLED = 1.0
_MAX_PAUSE = 20.0


class Deadline:
    """When the invocation that is running must have ended; never, unless it is set.

    One object serves all clients of a Lambda function, which runs one invocation at a time.
    """

    def __init__(self) -> None:
        self._at = inf

    def set(self, seconds: float) -> None:
        """Set it to ``seconds`` from now."""
        self._at = monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds from now, below 0 once it has passed."""
        return self._at - monotonic()


class Retries(Struct, frozen=True):
    """The limits of one request: its number of attempts, and the seconds from its start in which attempts
    may begin. No pause and no attempt goes beyond ``deadline``."""

    attempts: int = 10
    budget: float = 30.0
    deadline: Deadline | None = None


class Backoff:
    """The pauses between the attempts of one request, which starts now."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._end = monotonic() + retries.budget
        self.attempts = 1

    def pause(self, *, is_throttled: bool, random: float) -> float | None:
        """The seconds to wait before the next attempt; None if the last one was the last.

        ``is_throttled`` says how the last attempt failed; ``random`` is from 0 to 1.
        """
        first = _FIRST_PAUSE_THROTTLED if is_throttled else _FIRST_PAUSE
        pause = random * min(_MAX_PAUSE, first * 2.0 ** (self.attempts - 1))
        if self.attempts == self._retries.attempts or pause > self._remaining():
            return None
        self.attempts += 1
        return pause

    def _remaining(self) -> float:
        deadline = self._retries.deadline
        remaining = self._end - monotonic()
        return remaining if deadline is None else min(remaining, deadline.remaining)


PATIENT = Retries()
"""For work that nobody waits for: a queue's, or an operator's command."""

INTERACTIVE = Retries(attempts=4, budget=2.0)
"""For a request that a client waits for."""
