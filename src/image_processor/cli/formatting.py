"""How sizes and keys are shown to people."""

from __future__ import annotations


def in_units(count: int) -> str:
    """Bytes in decimal units, three digits or so: `312 B`, `48.1 kB`, `2.40 MB`."""
    if count < 1000:
        return f"{count} B"
    value, units = float(count), iter(("kB", "MB", "GB", "TB"))
    unit = ""
    while value >= 999.5 and (following := next(units, None)):
        value, unit = value / 1000, following
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"


def printable(key: str) -> str:
    """``key`` with what could steer a terminal (escapes, line breaks, direction marks) written as
    `\\x1b` and the like: a key is chosen by whoever uploads."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in key)
