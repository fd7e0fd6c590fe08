"""SQLite catalog: its statements. Each checks its own condition and returns the rows it changed.

They are put together from the constants here; every value that comes from outside is bound.
"""
# ruff: noqa: S608 - see above: no statement holds a text from outside

from __future__ import annotations

from typing import Any

from image_processor.catalog.rows import COLUMNS, to_ticks
from image_processor.domain.ports import Query

Values = dict[str, Any]

_NAMES = ", ".join(COLUMNS)
NO_CLAIM = "claim_token = NULL, claim_owner = NULL, claim_expires_at = NULL"
_IS_OURS = "id = :id AND claim_token = :claim_token"

CLAIM = f"""
INSERT INTO records ({_NAMES}, claim_token, claim_owner, claim_expires_at)
VALUES ({", ".join(":" + name for name in COLUMNS)}, :claim_token, :claim_owner, :claim_expires_at)
ON CONFLICT (id) DO UPDATE SET
    claim_token = excluded.claim_token,
    claim_owner = excluded.claim_owner,
    claim_expires_at = excluded.claim_expires_at
WHERE claim_token IS NULL OR claim_expires_at <= :now
RETURNING {_NAMES}
"""

RENEW = f"UPDATE records SET claim_expires_at = :claim_expires_at WHERE {_IS_OURS} RETURNING id"

_WRITTEN = tuple(
    name for name in COLUMNS if name not in {"id", "bucket", "key", "created_at", "sequencer", "revision"}
)
COMPLETE = f"""
UPDATE records SET
    {", ".join(f"{name} = :{name}" for name in _WRITTEN)},
    sequencer = coalesce(:sequencer, sequencer),
    revision = revision + 1,
    {NO_CLAIM}
WHERE {_IS_OURS} AND (sequencer IS NULL OR :sequencer IS NULL OR sequencer <= :sequencer)
RETURNING {_NAMES}
"""

FORGET = f"DELETE FROM records WHERE {_IS_OURS} RETURNING id"
RELEASE = f"UPDATE records SET {NO_CLAIM} WHERE {_IS_OURS} RETURNING id"
RELEASE_OWNER = f"""
UPDATE records SET {NO_CLAIM}
WHERE claim_token IS NOT NULL AND substr(claim_owner, 1, :length) = :owner RETURNING id
"""

SCAN = f"SELECT {_NAMES} FROM records WHERE id > :after ORDER BY id LIMIT :limit"

GET = f"SELECT {_NAMES} FROM records WHERE id = :id"


def select_page(query: Query, after: tuple[int, str] | None, limit: int) -> tuple[str, Values]:
    """The records of a query behind a position (ticks and id), newest first."""
    where, values = _where(query)
    if after is not None:
        where += " AND (created_at, id) < (:after_ticks, :after_id)"
        values |= {"after_ticks": after[0], "after_id": after[1]}
    statement = f"SELECT {_NAMES} FROM records WHERE {where} ORDER BY created_at DESC, id DESC LIMIT :limit"
    return statement, values | {"limit": limit}


def select_count(query: Query) -> tuple[str, Values]:
    where, values = _where(query)
    return f"SELECT count(*) AS records FROM records WHERE {where}", values


def _where(query: Query) -> tuple[str, Values]:
    """The condition of a query and its values."""
    conditions: list[str] = []
    values: Values = {}
    if query.prefix:
        # LIKE would read % and _ in the prefix, and ignore case.
        conditions.append("substr(key, 1, :length) = :prefix")
        values |= {"length": len(query.prefix), "prefix": query.prefix}
    if query.status is not None:
        conditions.append("status = :status")
        values["status"] = query.status.value
    if query.since is not None:
        conditions.append("created_at >= :since")
        values["since"] = to_ticks(query.since)
    if query.until is not None:
        conditions.append("created_at < :until")
        values["until"] = to_ticks(query.until)
    return " AND ".join(conditions) or "TRUE", values
