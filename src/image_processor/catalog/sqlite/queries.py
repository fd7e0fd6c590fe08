"""SQLite catalog: its SQL statements. Each write checks its own condition and returns the rows that it
changed.

Statements are built from constants of this module only. Every outside value is a bound parameter.
"""
# ruff: noqa: S608 - see above: no statement contains outside text

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from image_processor.catalog.paging import Position, bytes_of, is_ascending, saving_of
from image_processor.catalog.rows import COLUMNS, to_micros
from image_processor.domain.models import Record
from image_processor.domain.ports import Query, Sort

from .schema import HASH_BANDS

Values = dict[str, Any]

_COLUMN_LIST = ", ".join(COLUMNS)
CLEAR_LEASE = "claim_token = NULL, claim_owner = NULL, claim_expires_at = NULL"
_FIRST_SURROGATE, _AFTER_SURROGATES = 0xD800, 0xE000
_UNINDEXED_KEY = "+key"
"""The column as an expression, for which SQLite does not use an index."""
_IS_OWN_LEASE = "id = :id AND claim_token = :claim_token"

ACQUIRE = f"""
INSERT INTO records ({_COLUMN_LIST}, claim_token, claim_owner, claim_expires_at)
VALUES ({", ".join(":" + name for name in COLUMNS)}, :claim_token, :claim_owner, :claim_expires_at)
ON CONFLICT (id) DO UPDATE SET
    claim_token = excluded.claim_token,
    claim_owner = excluded.claim_owner,
    claim_expires_at = excluded.claim_expires_at
WHERE claim_token IS NULL OR claim_expires_at <= :now
RETURNING {_COLUMN_LIST}
"""

RENEW = f"UPDATE records SET claim_expires_at = :claim_expires_at WHERE {_IS_OWN_LEASE} RETURNING id"

_COMPLETED_COLUMNS = tuple(
    name
    for name in COLUMNS
    if name not in {"id", "bucket", "key", "created_at", "sequencer", "revision", "focus"}
)
COMPLETE = f"""
UPDATE records SET
    {", ".join(f"{name} = :{name}" for name in _COMPLETED_COLUMNS)},
    perceptual_hash = json_extract(:look, '$.perceptual_hash'),
    format = :format, original_bytes = :original_bytes, saving = :saving,
    sequencer = coalesce(:sequencer, sequencer),
    revision = revision + 1,
    {CLEAR_LEASE}
WHERE {_IS_OWN_LEASE} AND (sequencer IS NULL OR :sequencer IS NULL OR sequencer <= :sequencer)
RETURNING {_COLUMN_LIST}
"""

SET_FOCUS = f"UPDATE records SET focus = :focus WHERE id = :id RETURNING {_COLUMN_LIST}"
DELETE = f"DELETE FROM records WHERE {_IS_OWN_LEASE} RETURNING id"
RELEASE = f"UPDATE records SET {CLEAR_LEASE} WHERE {_IS_OWN_LEASE} RETURNING id"
RELEASE_OWNER = f"""
UPDATE records SET {CLEAR_LEASE}
WHERE claim_token IS NOT NULL AND substr(claim_owner, 1, :length) = :owner RETURNING id
"""

ADD_MESSAGE = """
INSERT INTO outbox (id, kind, image_id, message, created_at, due_at)
VALUES (:message_id, :kind, :image_id, :message, :created_at, :created_at)
ON CONFLICT (id, kind) DO NOTHING
"""
UNSENT = "SELECT message FROM outbox WHERE image_id = :image_id"
MARK_SENT = "DELETE FROM outbox WHERE id = :message_id AND kind = :kind AND image_id = :image_id"
SCAN = f"SELECT {_COLUMN_LIST} FROM records WHERE id > :after ORDER BY id LIMIT :limit"
SCAN_STATES = """
SELECT key, status, version, fingerprint, reason, renditions, focus, format,
format = 'webp' AND json_valid(original) AND json_extract(original, '$.alpha') AS alpha
FROM records INDEXED BY records_by_key
WHERE key > :after AND bucket = :bucket ORDER BY key LIMIT :limit
"""
SCAN_IDS = """
SELECT id FROM records WHERE id > :after UNION SELECT image_id FROM outbox WHERE image_id > :after
ORDER BY 1 LIMIT :limit
"""

HASHES = """
SELECT perceptual_hash, id FROM records INDEXED BY records_by_hash
WHERE perceptual_hash IS NOT NULL AND (perceptual_hash, id) > (:hash, :id)
ORDER BY perceptual_hash, id LIMIT :limit
"""

HASHES_BY_BAND = " UNION ALL ".join(
    f"""
SELECT group_concat(perceptual_hash, ' ') AS hashes FROM records INDEXED BY records_by_band_{number}
WHERE perceptual_hash IS NOT NULL AND {band} IN (SELECT value FROM json_each(:band_{number}))
"""
    for number, band in enumerate(HASH_BANDS)
)
"""One row for each band: of 800 candidates, few are near, and a row of each took three times as long."""

IDS_BY_HASH = """
SELECT perceptual_hash, id FROM records INDEXED BY records_by_hash
WHERE perceptual_hash IS NOT NULL AND perceptual_hash IN (SELECT value FROM json_each(:hashes))
"""

GET = f"SELECT {_COLUMN_LIST} FROM records WHERE id = :id"
GET_MANY = f"SELECT {_COLUMN_LIST} FROM records WHERE id IN (SELECT value FROM json_each(:ids))"

HAS_TEXT = "has_text"
"""The SQL function of `catalog.paging.has_text`. Every connection has it."""

MAX_SORTED = 10_000
"""Up to this many records with a prefix are found by the index of keys, and sorted. If there are more,
reading in the order of time soon fills a page."""

NEXT_IN_FOLDER = """
SELECT key FROM records INDEXED BY records_by_key
WHERE key >= :after AND key < :end AND instr(substr(key, :length + 1), '/') > 0 ORDER BY key LIMIT 1
"""

COUNT_KEYS = """
SELECT count(*) AS count FROM (
    SELECT 1 FROM records INDEXED BY records_by_key WHERE key >= :prefix AND key < :end LIMIT :limit
)
"""


def listing_values(record: Record) -> Values:
    """The columns that only listings read."""
    original = record.original
    return {
        "format": original.format if original else None,
        "original_bytes": bytes_of(record),
        "saving": saving_of(record),
    }


def key_range(prefix: str) -> Values:
    """The bounds of the keys that start with ``prefix``: from `prefix` to before `end`."""
    kept = prefix.rstrip(chr(sys.maxunicode))
    if not kept:
        return {"prefix": prefix, "end": b""}  # SQLite orders every text before every blob
    following = ord(kept[-1]) + 1
    if following == _FIRST_SURROGATE:  # surrogates are in no key
        following = _AFTER_SURROGATES
    return {"prefix": prefix, "end": kept[:-1] + chr(following)}


class _Order(Struct, frozen=True):
    """An order of listings: the column that it is by, and the index that is read in this order and has every
    column of the filters; None if SQLite chooses the index."""

    column: str
    index: str | None


_ORDERS: Mapping[Sort, _Order] = MappingProxyType({
    Sort.NEWEST: _Order("created_at", None),
    Sort.NAME: _Order("key", "records_by_key"),
    Sort.SIZE: _Order("original_bytes", "records_by_size"),
    Sort.SAVING: _Order("saving", "records_by_saving"),
})  # fmt: skip


def select_page(query: Query, after: Position | None, limit: int, *, by_key: bool) -> tuple[str, Values]:
    """The statement for the records of a query after a position, in the order of the query. It reads them in
    this order, or with ``by_key`` finds all of the prefix in the index of keys and sorts them."""
    order, ascending = _ORDERS[query.sort], is_ascending(query.sort)
    index = "records_by_key" if by_key else order.index
    where, values = _where(query, "key" if by_key or query.sort is Sort.NAME else _UNINDEXED_KEY)
    if after is not None:
        where += f" AND ({order.column}, id) {'>' if ascending else '<'} (:after_value, :after_id)"
        values |= {"after_value": after[0], "after_id": after[1]}
    direction = "ASC" if ascending else "DESC"
    sorted_ = f"ORDER BY {order.column} {direction}, id {direction}"
    if index is not None:
        found = f"SELECT rowid FROM records INDEXED BY {index} WHERE {where} {sorted_} LIMIT :limit"
        statement = f"SELECT {_COLUMN_LIST} FROM records WHERE rowid IN ({found}) {sorted_}"
    else:
        statement = f"SELECT {_COLUMN_LIST} FROM records WHERE {where} {sorted_} LIMIT :limit"
    return statement, values | {"limit": limit}


def is_by_key(query: Query) -> bool:
    """Whether a filter reads the index of keys: it is small enough to read, all rows are not."""
    return bool(query.text or query.format or query.min_bytes is not None or query.max_bytes is not None)


def select_count(query: Query) -> tuple[str, Values]:
    """The statement for the number of records of a query."""
    where, values = _where(query, "key")
    index = "INDEXED BY records_by_key" if query.prefix or is_by_key(query) else ""
    return f"SELECT count(*) AS count FROM records {index} WHERE {where}", values


def _where(query: Query, key: str) -> tuple[str, Values]:
    conditions: list[str] = []
    values: Values = {}
    if query.prefix:
        # LIKE would interpret % and _ in the prefix, and ignore case.
        conditions.append(f"{key} >= :prefix AND {key} < :end")
        values |= key_range(query.prefix)
    if query.text:
        # LIKE would interpret % and _, and ignore the case of ASCII only.
        conditions.append(f"{HAS_TEXT}(key, :text)")
        values["text"] = query.text
    if query.status is not None:
        conditions.append("status = :status")
        values["status"] = query.status.value
    if query.since is not None:
        conditions.append("created_at >= :since")
        values["since"] = to_micros(query.since)
    if query.until is not None:
        conditions.append("created_at < :until")
        values["until"] = to_micros(query.until)
    if query.format is not None:
        conditions.append("format = :format")
        values["format"] = query.format
    if query.min_bytes is not None:
        conditions.append("original_bytes >= :min_bytes")
        values["min_bytes"] = max(0, query.min_bytes)
    if query.max_bytes is not None:
        conditions.append("original_bytes >= 0 AND original_bytes < :max_bytes")
        values["max_bytes"] = query.max_bytes
    return " AND ".join(conditions) or "TRUE", values
