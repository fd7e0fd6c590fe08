"""How commands end and what they print: exit statuses, sizes and keys."""

from __future__ import annotations

from image_processor.domain.errors import Invalid, MissingExtra, NotFound, Refused, UnsafeRuntime

SOME_REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
UNSAFE = 4

_EXIT_STATUS = (
    (Invalid, USAGE),
    (NotFound, USAGE),
    (Refused, SOME_REFUSED),
    (UnsafeRuntime, UNSAFE),
    (MissingExtra, UNSAFE),
)


def exit_status(error: BaseException) -> int:
    """The exit status for an error that ended a command or an item of its work: the first class that matches,
    else UNAVAILABLE."""
    return next((status for class_, status in _EXIT_STATUS if isinstance(error, class_)), UNAVAILABLE)


def format_bytes(count: int) -> str:
    """Bytes in decimal units with about three digits: `312 B`, `48.1 kB`, `2.40 MB`."""
    if count < 1000:
        return f"{count} B"
    value, units = float(count), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 999.5 and (following := next(units, None)):
        value, unit = value / 1000, following
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def printable(text: str) -> str:
    """``text`` with everything that could control a terminal (escapes, line breaks, direction marks) written
    as `\\x1b` and the like. Uploaders choose keys and metadata."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
