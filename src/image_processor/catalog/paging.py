"""Catalogs: where a page ends, as an opaque text that a client carries to the next request.

The position is (created_at, id) of the last record shown. Neither ever changes, so whatever
happens to records meanwhile, the next page starts right behind it.
"""

from __future__ import annotations

import base64
import binascii
import re

from image_processor.domain.errors import Invalid
from image_processor.domain.models import Record

from .rows import to_ticks

MAX_PAGE = 1000
"""The most records that one page may hold."""

_POSITION = re.compile(r"(-?[0-9]{1,18})\.(.+)", re.ASCII)


def check_limit(limit: int) -> int:
    """Return ``limit`` if a page may have so many records, else raise Invalid."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid.one("limit", f"1-{MAX_PAGE}", limit)
    return limit


def write_cursor(record: Record) -> str:
    """The cursor of the page after ``record``."""
    position = f"{to_ticks(record.created_at)}.{record.id}"
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, str]:
    """Ticks and id that the cursor stands for. Raises Invalid for a text that is no cursor."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    match = _POSITION.fullmatch(text)
    if match is None:
        raise Invalid.one("cursor", "the cursor of a page before", cursor)
    return int(match[1]), match[2]
