"""The exit statuses of every command, and which error ends with which."""

from __future__ import annotations

from image_processor.domain.errors import Invalid, MissingExtra, NotFound, Refused, UnsafeRuntime

SOME_REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
UNSAFE = 4

# The first class that fits decides.
_STATUS = (
    (Invalid, USAGE),
    (NotFound, USAGE),
    (Refused, SOME_REFUSED),
    (UnsafeRuntime, UNSAFE),
    (MissingExtra, UNSAFE),
)


def status_of(error: BaseException) -> int:
    """The exit status for an error that ended a command, or a piece of its work."""
    return next((status for class_, status in _STATUS if isinstance(error, class_)), UNAVAILABLE)
