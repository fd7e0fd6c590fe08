"""Catalogs: which records a listing includes, in which order, and the cursor between its pages.

A cursor is an opaque text with the place of the last record of a page in the order: the value that records
are ordered by, and the id. Where that value never changes, the next page starts right after that record,
whatever happens to records in between.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest, nsmallest
from itertools import groupby
from types import MappingProxyType

import msgspec

from image_processor.domain.errors import Invalid
from image_processor.domain.models import Record
from image_processor.domain.ports import Folder, Page, Query, Sort

from .rows import to_micros

MAX_PAGE_SIZE = 1000
"""The maximum number of records per page."""

NO_BYTES = -1
"""The place of records without an original's size."""

NO_SAVING = -1e9
"""The place of records without renditions: after those that have more bytes than their original."""

Position = tuple[int | float | str, str]
"""Where a record is in the order of listings: the value that they are ordered by, and the id."""

_NEWEST = re.compile(r"(-?[0-9]{1,18})\.(.+)", re.ASCII)
_MAX_INTEGER = 2**62
_OTHERS = msgspec.json.Decoder(tuple[str, int | float | str, str])


def bytes_of(record: Record) -> int:
    """The size of the original; NO_BYTES if it is not known."""
    return NO_BYTES if record.original is None else record.original.bytes


def saving_of(record: Record) -> float:
    """`Record.saving`; NO_SAVING if there is none."""
    return NO_SAVING if (saving := record.saving) is None else saving


_VALUES: Mapping[Sort, Callable[[Record], int | float | str]] = MappingProxyType({
    Sort.NEWEST: lambda record: to_micros(record.created_at),
    Sort.NAME: lambda record: record.key,
    Sort.SIZE: bytes_of,
    Sort.SAVING: saving_of,
})  # fmt: skip

_TYPES: Mapping[Sort, tuple[type, ...]] = MappingProxyType(
    {Sort.NAME: (str,), Sort.SIZE: (int,), Sort.SAVING: (int, float)}
)


def is_ascending(sort: Sort) -> bool:
    """Whether the smallest value comes first. Equal values are ordered by id in the same direction."""
    return sort is Sort.NAME


def check_limit(limit: int) -> int:
    """Return ``limit`` if it is 1-1000, else raise Invalid."""
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise Invalid.one("limit", f"1-{MAX_PAGE_SIZE}", limit)
    return limit


def position_of(record: Record, sort: Sort = Sort.NEWEST) -> Position:
    """The record's position in this order."""
    return _VALUES[sort](record), record.id


def matches(record: Record, query: Query) -> bool:
    """Whether a listing of ``query`` includes the record."""
    size = bytes_of(record)
    return (
        record.key.startswith(query.prefix)
        and has_text(record.key, query.text)
        and query.status in {None, record.status}
        and (query.since is None or record.created_at >= query.since)
        and (query.until is None or record.created_at < query.until)
        and (query.format is None or (record.original is not None and record.original.format == query.format))
        and (query.min_bytes is None or size >= max(0, query.min_bytes))
        and (query.max_bytes is None or 0 <= size < query.max_bytes)
    )


def has_text(key: str, text: str) -> bool:
    """Whether ``text`` is a part of the key, without regard to case."""
    return text.casefold() in key.casefold()


def page_of(records: Iterable[Record], query: Query, limit: int, cursor: str | None) -> Page:
    """The page of a catalog that has no index: it reads all ``records``."""
    check_limit(limit)
    after = None if cursor is None else _sortable(read_cursor(cursor, query.sort))
    ascending = is_ascending(query.sort)

    def place(record: Record) -> tuple[int | float | bytes, str]:
        return _sortable(position_of(record, query.sort))

    def is_after(record: Record) -> bool:
        return after is None or (place(record) > after if ascending else place(record) < after)

    matching = (record for record in records if matches(record, query) and is_after(record))
    # One record more than requested shows whether there is a next page.
    found = (nsmallest if ascending else nlargest)(limit + 1, matching, key=place)
    page = tuple(found[:limit])
    return Page(page, write_cursor(page[-1], query.sort) if len(found) > limit else None)


def folders_of(keys: Iterable[str], prefix: str, limit: int) -> tuple[Folder, ...]:
    """The folders of a catalog that has no index: it reads all ``keys``."""
    rests = (key.removeprefix(prefix) for key in keys if key.startswith(prefix))
    names = sorted(
        (name for name, slash, _ in (rest.partition("/") for rest in rests) if slash), key=str.encode
    )
    found = [Folder(f"{prefix}{name}/", len(list(group))) for name, group in groupby(names)]
    return tuple(found[:limit])


def write_cursor(record: Record, sort: Sort = Sort.NEWEST) -> str:
    """The cursor of the page after ``record``."""
    value, id_ = position_of(record, sort)
    text = f"{value}.{id_}".encode() if sort is Sort.NEWEST else msgspec.json.encode((sort, value, id_))
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def read_cursor(cursor: str, sort: Sort = Sort.NEWEST) -> Position:
    """The position in a cursor. Raises Invalid for a text that is not a cursor of this order."""
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        return _newest(body.decode()) if sort is Sort.NEWEST else _other(body, sort)
    except (binascii.Error, ValueError):
        raise Invalid.one("cursor", "the cursor of an earlier page", cursor) from None


def newest_position(cursor: str) -> tuple[int, str]:
    """The position in a cursor of the newest records: microseconds and id. Raises Invalid."""
    micros, id_ = read_cursor(cursor)
    return int(micros), id_


def _newest(text: str) -> Position:
    match = _NEWEST.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]), match[2]


def _other(body: bytes, sort: Sort) -> Position:
    name, value, id_ = _OTHERS.decode(body)
    if name != sort or not isinstance(value, _TYPES[sort]):
        raise ValueError(name)
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise ValueError(value)
    return value, id_


def _sortable(position: Position) -> tuple[int | float | bytes, str]:
    """Keys are ordered by their bytes."""
    value, id_ = position
    return value.encode() if isinstance(value, str) else value, id_
