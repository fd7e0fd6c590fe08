"""How long a copy may be used without asking its source again: from a response's headers (RFC 9111, 4.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_HEURISTIC = 0.1
"""The part of the time since the last change for which a copy is used if the source says nothing; the
fraction that RFC 9111, 4.2.2 names as typical."""

_DIRECTIVE = re.compile(r'([a-z-]+)(?:="?(\d+)"?)?')


def fresh_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds from ``now``, of a response with these ``headers`` by lower-case name; None if it says
    nothing. This server is a shared cache: `s-maxage` precedes `max-age`, and that `Expires`."""
    lifetime = _lifetime(headers, now)
    if lifetime is None:
        return None
    age = headers.get("age", "")
    # float: a server may send more digits than int() reads.
    return max(0.0, lifetime - (float(age) if age.isdecimal() else 0.0))


def _lifetime(headers: Mapping[str, str], now: datetime) -> float | None:
    text = headers.get("cache-control", "").lower()
    directives = {match[1]: match[2] for match in _DIRECTIVE.finditer(text)}
    if directives.keys() & {"no-cache", "no-store", "private"}:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if seconds := directives.get(name):
            return float(seconds)
    date = _moment(headers.get("date")) or now
    if "expires" in headers:
        expires = _moment(headers["expires"])  # anything but a date, such as 0, has expired
        return 0.0 if expires is None else (expires - date).total_seconds()
    modified = _moment(headers.get("last-modified"))
    return None if modified is None else _HEURISTIC * max(0.0, (date - modified).total_seconds())


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
