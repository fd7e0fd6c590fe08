"""HTTP edge: the one table of what an error is in HTTP, and what delivery makes of it.

Without a web framework, which the deliver function's cold start could not afford.
"""

from __future__ import annotations

from typing import Any

from image_processor.domain.errors import (
    FIXES,
    Forbidden,
    ImageProcessorError,
    Invalid,
    LeaseBusy,
    LeaseLost,
    MissingExtra,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    Unavailable,
)

from .problem_details import document

# The first row that an error is an instance of decides.
STATUSES: tuple[tuple[type[ImageProcessorError], int], ...] = (
    (Invalid, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (LeaseBusy, 409),
    (LeaseLost, 409),
    (PreconditionFailed, 409),
    (Refused, 422),
    (MissingExtra, 501),
    (Unavailable, 503),
    (ImageProcessorError, 500),
)

_REFUSED = {
    Reason.EMPTY: 415,
    Reason.NOT_AN_IMAGE: 415,
    Reason.UNSUPPORTED_FORMAT: 415,
    Reason.TOO_MANY_BYTES: 413,
    Reason.TOO_MANY_PIXELS: 413,
    Reason.TOO_MANY_FRAMES: 413,
    Reason.TOO_MANY_SCANS: 413,
}

RETRY_SECONDS = "1"

BRIEFLY = "max-age=5"
"""How long a cache may keep the news that there is nothing, so that a flood of it stops at the edge."""

_KEPT_BRIEFLY = frozenset({404, 413, 415, 422})

_MOST_TOLD = 20
"""Mistakes that are told: what a short URL costs us to answer stays short."""


def status_of(error: ImageProcessorError) -> int:
    """The status of an error of delivery. A reader is in nobody's way: what a retry heals is never a
    conflict of theirs."""
    if isinstance(error, Refused):
        return _REFUSED.get(error.reason, row_of(error))
    return 503 if error.retryable else row_of(error)


def row_of(error: ImageProcessorError) -> int:
    """The status that the table has for an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def told(error: ImageProcessorError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, problem document and headers for an error of delivery."""
    status = status_of(error)
    message = "" if status == 500 else str(error)
    body = document(status, message, error.code)
    if isinstance(error, Refused):
        body |= {"detail": error.message, "reason": error.reason, "fix": FIXES[error.reason]}
    elif isinstance(error, Invalid):
        shown = error.problems[:_MOST_TOLD]
        body["detail"] = "; ".join(map(str, shown))
        body["problems"] = [{"name": each.name, "expected": each.expected, "got": each.got} for each in shown]
    elif isinstance(error, Forbidden):
        body["fix"] = error.fix
    headers = {"cache-control": BRIEFLY if status in _KEPT_BRIEFLY else "no-store"}
    if status == 503:
        headers["retry-after"] = RETRY_SECONDS
    return status, body, headers
