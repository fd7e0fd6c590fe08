"""The one table that maps errors to HTTP statuses, and the problem documents (RFC 9457) made of them.

It needs no web framework, because the deliver function imports it on its cold start. `problems` turns
the same documents into responses of the API.
"""

from __future__ import annotations

from typing import Any

from image_processor.domain.errors import (
    FIXES,
    ChecksumMismatch,
    Forbidden,
    ImageProcessorError,
    InsufficientStorage,
    Invalid,
    LeaseBusy,
    LeaseLost,
    MissingExtra,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    ShareExceeded,
    SourceFailed,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"

# The names of RFC 9110. Those of Python's HTTPStatus differ between its versions, and the codes made of
# them must never change. The server's status line has Python's, which clients do not read.
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    507: "Insufficient Storage",
    460: "Checksum Mismatch",  # of the tus protocol
}

# The first row whose class the error is an instance of decides.
STATUSES: tuple[tuple[type[ImageProcessorError], int], ...] = (
    (Invalid, 400),
    (Forbidden, 403),
    (NotFound, 404),
    (LeaseBusy, 409),
    (LeaseLost, 409),
    (PreconditionFailed, 409),
    (ChecksumMismatch, 460),
    (Refused, 422),
    (MissingExtra, 501),
    (InsufficientStorage, 507),
    (ShareExceeded, 429),
    (SourceFailed, 502),
    (Unavailable, 503),
    (ImageProcessorError, 500),
)

_DELIVERY_STATUSES = {
    Reason.EMPTY: 415,
    Reason.NOT_AN_IMAGE: 415,
    Reason.UNSUPPORTED_FORMAT: 415,
    Reason.TOO_MANY_BYTES: 413,
    Reason.TOO_MANY_PIXELS: 413,
    Reason.TOO_MANY_FRAMES: 413,
    Reason.TOO_MANY_SCANS: 413,
}
"""Statuses of refused originals in delivery; other reasons have the table's."""

RETRY_AFTER = "1"
"""Seconds, the value of the Retry-After header."""

SHORT_CACHE = "max-age=5"
"""How long a CDN may cache an error, so that many requests for a missing image reach the origin once."""

PERMANENT_CACHE = "max-age=300"
"""How long a CDN may cache an error that only other settings or another recipe end."""

_SHORTLY_CACHED = frozenset({404, 413, 415, 422})

_MAX_PROBLEMS = 20
"""Problems that one response lists, so that the response to a short URL stays short."""


def title_of(status: int) -> str:
    """The name of a status in RFC 9110."""
    return TITLES.get(status, "Error")


def code_of(status: int) -> str:
    """The code of an error of HTTP itself: the status's name in lower case with hyphens."""
    return title_of(status).lower().replace(" ", "-")


def problem_document(status: int, detail: str = "", code: str | None = None) -> dict[str, Any]:
    """A problem document with the members that every one has."""
    return {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": detail or title_of(status),
        "code": code or code_of(status),
    }


def status_of(error: ImageProcessorError, *, is_tus: bool = False) -> int:
    """The status that the table has for an error. Clients of tus give up after a 429 and continue after a
    503, so that is what ShareExceeded is for their requests."""
    if is_tus and isinstance(error, ShareExceeded):
        return 503
    return next(status for class_, status in STATUSES if isinstance(error, class_))


def delivery_status(error: ImageProcessorError) -> int:
    """The status of an error of delivery. What a retry may solve is 503 and never 409: a reader has no
    conflict to resolve."""
    if isinstance(error, Refused):
        return _DELIVERY_STATUSES.get(error.reason, status_of(error))
    return 503 if error.retryable else status_of(error)


def error_response(error: ImageProcessorError) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, problem document and headers of the response to an error of delivery."""
    status = delivery_status(error)
    message = "" if status == 500 else str(error)
    body = problem_document(status, message, error.code)
    if isinstance(error, Refused):
        body |= {"detail": error.message, "reason": error.reason, "fix": FIXES[error.reason]}
    elif isinstance(error, Invalid):
        problems = error.problems[:_MAX_PROBLEMS]
        body["detail"] = "; ".join(map(str, problems))
        body["problems"] = [
            {"name": problem.name, "expected": problem.expected, "got": problem.got} for problem in problems
        ]
    elif isinstance(error, Forbidden):
        body["fix"] = error.fix
    headers = {"cache-control": SHORT_CACHE if status in _SHORTLY_CACHED else "no-store"}
    if status == 503:
        headers["retry-after"] = RETRY_AFTER
    return status, body, headers
