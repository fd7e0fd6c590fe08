"""Catalogs: which records a listing includes, in which order, and the cursor between its pages.

A cursor is an opaque text with (created_at, id) of the last record of a page. Neither ever changes,
so the next page starts right after that record, whatever happens to records in between.
"""

from __future__ import annotations

import base64
import binascii
import re

from image_processor.domain.errors import Invalid
from image_processor.domain.models import Record
from image_processor.domain.ports import Query

from .rows import to_micros

MAX_PAGE_SIZE = 1000
"""The maximum number of records per page."""

Position = tuple[int, str]
"""Where a record is in the order of listings: (microseconds of created_at, id)."""

_POSITION = re.compile(r"(-?[0-9]{1,18})\.(.+)", re.ASCII)


def check_limit(limit: int) -> int:
    """Return ``limit`` if it is 1-1000, else raise Invalid."""
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise Invalid.one("limit", f"1-{MAX_PAGE_SIZE}", limit)
    return limit


def position_of(record: Record) -> Position:
    """The record's position. Listings are ordered by it, descending."""
    return to_micros(record.created_at), record.id


def matches(record: Record, query: Query, after: Position | None) -> bool:
    """Whether a listing of ``query`` includes the record after the position ``after``."""
    return (
        record.key.startswith(query.prefix)
        and has_text(record.key, query.text)
        and query.status in {None, record.status}
        and (query.since is None or record.created_at >= query.since)
        and (query.until is None or record.created_at < query.until)
        and (after is None or position_of(record) < after)
    )


def has_text(key: str, text: str) -> bool:
    """Whether ``text`` is a part of the key, without regard to case."""
    return text.casefold() in key.casefold()


def write_cursor(record: Record) -> str:
    """The cursor of the page after ``record``."""
    micros, id_ = position_of(record)
    return base64.urlsafe_b64encode(f"{micros}.{id_}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> Position:
    """The position in a cursor. Raises Invalid for a text that is not a cursor."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    match = _POSITION.fullmatch(text)
    if match is None:
        raise Invalid.one("cursor", "the cursor of an earlier page", cursor)
    return int(match[1]), match[2]
