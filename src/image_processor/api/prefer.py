"""HTTP edge: how long a client would wait for the outcome of its request (RFC 7240)."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header

MAX_PATIENCE = 60.0
"""The longest time in seconds that a request waits for an outcome."""

_SECONDS = re.compile(r"[0-9]{1,9}")


def patience(prefer: str) -> float | None:
    """The seconds that the text of a Prefer header grants, at most MAX_PATIENCE; None if it does
    not say. `respond-async` is 0 seconds unless `wait` says more."""
    given: dict[str, str] = {}
    for preference in prefer.lower().split(","):
        # What stands behind a semicolon are parameters, of which these two have none.
        name, _, value = preference.partition(";")[0].partition("=")
        given.setdefault(name.strip(), value.strip().strip('"'))
    wait = given.get("wait", "")
    if _SECONDS.fullmatch(wait):
        return min(float(wait), MAX_PATIENCE)
    return 0.0 if "respond-async" in given else None


async def _patience(
    prefer: Annotated[
        str,
        Header(description="`wait=10`: answer after so many seconds at most; `respond-async`: at once."),
    ] = "",
) -> float | None:
    return patience(prefer)


PatienceOf = Annotated[float | None, Depends(_patience)]
