"""SQLite catalog: the schema and its migrations.

The migration at index N leads from version N to N+1. `PRAGMA user_version` stores the version of a
file. Migrations are only appended, never changed.
"""
# ruff: noqa: S608 - statements are built from constants of this module only

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from image_processor.catalog.paging import NO_BYTES, NO_SAVING
from image_processor.domain.errors import Invalid

# The first version with STRICT tables.
_MIN_SQLITE = (3, 37, 0)

_RECORDS = """
CREATE TABLE records (
    id TEXT PRIMARY KEY NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    version TEXT,
    sequencer TEXT,
    fingerprint TEXT,
    reason TEXT,
    message TEXT,
    original TEXT,
    look TEXT,
    renditions TEXT NOT NULL,
    revision INTEGER NOT NULL,
    claim_token TEXT,
    claim_owner TEXT,
    claim_expires_at INTEGER
) STRICT
"""

# A message without a time at which it is due is not sent again: it is dead.
_OUTBOX = """
CREATE TABLE outbox (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    image_id TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    PRIMARY KEY (id, kind)
) STRICT
"""

HASH_BANDS = tuple(f"substr(perceptual_hash, {start}, 4)" for start in (1, 5, 9, 13))
"""The four bands of 16 bits of a hash, as expressions that indexes exist for."""

# `Record.saving` of rows that were written before it was a column.
_AREA = "json_extract(value, '$.facts.width') * json_extract(value, '$.facts.height')"
_SAVING = f"""
SELECT 1.0 - CAST(min(json_extract(value, '$.facts.bytes')) AS REAL) / original_bytes
FROM json_each(renditions) WHERE {_AREA} = (SELECT max({_AREA}) FROM json_each(renditions))
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _RECORDS,
        "CREATE INDEX records_by_time ON records (created_at, id)",
        "CREATE INDEX records_by_status ON records (status, created_at, id)",
        # Partial: few rows have a lease.
        "CREATE INDEX records_claimed ON records (claim_owner) WHERE claim_token IS NOT NULL",
    ),
    ("ALTER TABLE records ADD COLUMN exif TEXT",),
    (
        _OUTBOX,
        "CREATE INDEX outbox_by_image ON outbox (image_id)",
        "CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL",
    ),
    (
        # Not a generated column, which SQLite 3.40 would read from the row although the index has it.
        "ALTER TABLE records ADD COLUMN perceptual_hash TEXT",
        "UPDATE records SET perceptual_hash = json_extract(look, '$.perceptual_hash') WHERE look IS NOT NULL",
        "CREATE INDEX records_by_hash ON records (perceptual_hash, id) WHERE perceptual_hash IS NOT NULL",
    ),
    (
        # With every column that a listing filters or orders by, so that only a page's rows are read.
        "CREATE INDEX records_by_key ON records (key, created_at, id, status)",
        *(
            f"CREATE INDEX records_by_band_{number} ON records ({band}, perceptual_hash, id)"
            " WHERE perceptual_hash IS NOT NULL"
            for number, band in enumerate(HASH_BANDS)
        ),
    ),
    (
        "ALTER TABLE records ADD COLUMN format TEXT",
        f"ALTER TABLE records ADD COLUMN original_bytes INTEGER NOT NULL DEFAULT {NO_BYTES}",
        f"ALTER TABLE records ADD COLUMN saving REAL NOT NULL DEFAULT {NO_SAVING}",
        """UPDATE records SET format = json_extract(original, '$.format'),
        original_bytes = json_extract(original, '$.bytes') WHERE json_valid(original)""",
        f"""UPDATE records SET saving = coalesce(({_SAVING}), saving)
        WHERE original_bytes > 0 AND json_valid(renditions)""",
        # Each has every column that a listing filters by, so that only a page's rows are read.
        "DROP INDEX records_by_key",
        "CREATE INDEX records_by_key ON records (key, created_at, id, status, format, original_bytes)",
        "CREATE INDEX records_by_size ON records (original_bytes, id, key, created_at, status, format)",
        """CREATE INDEX records_by_saving ON records
        (saving, id, key, created_at, status, format, original_bytes)""",
    ),
    ("ALTER TABLE records ADD COLUMN focus TEXT",),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date in one transaction.

    Of several processes that start at once the first migrates and the others find nothing to do.
    Raises Invalid for a newer schema, and for an SQLite library before 3.37.
    """
    if sqlite3.sqlite_version_info < _MIN_SQLITE:
        raise Invalid.one(
            "SQLite", f"version {'.'.join(map(str, _MIN_SQLITE))} or newer", sqlite3.sqlite_version
        )
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise Invalid.one("catalog", f"schema version 0-{len(MIGRATIONS)}", version)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        # PRAGMA accepts no bound parameters.
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements of the context, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
