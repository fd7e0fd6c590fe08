"""Byte ranges as clients send them, and the expected result."""

from __future__ import annotations

from random import Random


def said(random: Random, size: int) -> tuple[str, int | str, int | str]:
    """A Range header for ``size`` bytes, and its first and last byte; empty for none."""
    edges: list[int | str] = ["", random.randrange(size + size // 3 + 1), size - 1, size, 0, 10**18]
    first, last = random.choice(edges), random.choice(edges)
    plain = f"bytes={first}-{last}"
    return random.choice([plain] * 5 + [f"{plain},0-1", f"lines={first}-{last}"]), first, last


def meant(body: bytes, first: int | str, last: int | str) -> bytes | None:
    """RFC 9110, section 14.1.2. None for a range outside."""
    if first == "" and last == "":
        return body
    if first == "":
        return body[-int(last) :] if last else None
    if last != "" and int(last) < int(first):
        return body
    part = body[int(first) :] if last == "" else body[int(first) : int(last) + 1]
    return part or None
