"""Adapter: the catalog in one SQLite file, for the threads and processes of one machine.

Every change is one statement that checks its condition itself, so no two callers can both
find it true. A claim is three columns of the record's row.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from msgspec.structs import replace

from image_processor.catalog.paging import check_limit, read_cursor, write_cursor
from image_processor.catalog.rows import new_token, to_record, to_row, to_ticks
from image_processor.domain.errors import Invalid, LeaseBusy, LeaseLost, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, Record, Upload
from image_processor.domain.ports import Page, Query

from .queries import (
    CLAIM,
    COMPLETE,
    FORGET,
    GET,
    RELEASE,
    RELEASE_OWNER,
    RENEW,
    SCAN,
    Values,
    select_count,
    select_page,
)
from .schema import migrate

Row = dict[str, Any]

_BUSY_SECONDS = 10
_BUSY_STEP = 0.01
_SCAN_PAGE = 500


class SqliteCatalog:
    """Catalog in an SQLite file, or in memory for as long as the object lives.

    All threads share one connection, one statement at a time: statements take microseconds,
    and ":memory:" has no second connection. Raises Invalid for a file of a newer schema.
    """

    def __init__(self, path: Path | Literal[":memory:"]) -> None:
        self._lock = Lock()
        with _answering():
            self._connection = _connect(path)

    def close(self) -> None:
        """Close the file. No other method may be called after it."""
        with self._lock:
            self._connection.close()

    def get(self, image_id: str) -> Record | None:
        rows = self._all(GET, {"id": image_id})
        return to_record(rows[0]) if rows else None

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        new = Record(
            id=image_id(upload.bucket, upload.key),
            bucket=upload.bucket,
            key=upload.key,
            created_at=now,
            updated_at=now,
        )
        token, expires_at = new_token(), now + duration
        lease = {
            "claim_token": token,
            "claim_owner": owner,
            "claim_expires_at": to_ticks(expires_at),
            "now": to_ticks(now),
        }
        rows = self._all(CLAIM, to_row(new) | lease)
        if not rows:
            raise LeaseBusy(f"another worker holds the lease on {upload.key!r}")
        return Lease(new.id, token, owner, expires_at, to_record(rows[0]))

    def renew(self, lease: Lease, *, now: datetime, duration: timedelta) -> Lease:
        expires_at = now + duration
        self._change_ours(RENEW, lease, {"claim_expires_at": to_ticks(expires_at)})
        return replace(lease, expires_at=expires_at)

    def complete(self, lease: Lease, record: Record) -> Record:
        if record.id != lease.image_id:
            raise Invalid.one("record", f"the record {lease.image_id} of the lease", record.id)
        return to_record(self._change_ours(COMPLETE, lease, to_row(record)))

    def delete(self, lease: Lease) -> None:
        self._change_ours(FORGET, lease)

    def release(self, lease: Lease) -> None:
        self._all(RELEASE, _ours(lease))

    def release_owner(self, owner_prefix: str) -> int:
        """Give back every claim whose owner starts with ``owner_prefix``; returns how many.

        For a server that has made sure, by a lock of its own, that those owners are dead.
        """
        return len(self._all(RELEASE_OWNER, {"owner": owner_prefix, "length": len(owner_prefix)}))

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        check_limit(limit)
        after = None if cursor is None else read_cursor(cursor)
        # One more than asked for tells whether there is a next page.
        rows = self._all(*select_page(query, after, limit + 1))
        records = tuple(to_record(row) for row in rows[:limit])
        return Page(records, write_cursor(records[-1]) if len(rows) > limit else None)

    def count(self, query: Query) -> int:
        """How many records a listing of ``query`` has in all."""
        (row,) = self._all(*select_count(query))
        return int(row["records"])

    def scan(self) -> Iterator[Record]:
        # Page by page, for a reader left open would keep the write-ahead log growing.
        after = ""
        while rows := self._all(SCAN, {"after": after, "limit": _SCAN_PAGE}):
            yield from map(to_record, rows)
            after = rows[-1]["id"]

    def _change_ours(self, statement: str, lease: Lease, values: Values | None = None) -> Row:
        """Run a statement that changes the claim's row; LeaseLost if it found none to change."""
        rows = self._all(statement, (values or {}) | _ours(lease))
        if not rows:
            raise LeaseLost(f"{lease.owner} no longer holds the lease on {lease.record.key!r}")
        return rows[0]

    def _all(self, statement: str, values: Values) -> tuple[Row, ...]:
        with self._lock, _answering():
            return tuple(self._connection.execute(statement, values).fetchall())


def _connect(path: Path | Literal[":memory:"]) -> sqlite3.Connection:
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Autocommit: each statement is its own transaction.
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(connection)
        # NORMAL, not FULL: in WAL a killed process loses nothing; a power cut may take back the
        # last commits, and the next sweep does that work again from the stores.
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    connection.row_factory = _by_name
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. Where two connections do it at once SQLite says BUSY without
    waiting, for each would wait for the other; so the wait is ours."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_BUSY_STEP)
        else:
            return


def _by_name(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _ours(lease: Lease) -> Values:
    return {"id": lease.image_id, "claim_token": lease.token}


@contextmanager
def _answering() -> Iterator[None]:
    """What SQLite reports of the file (locked, full, damaged) as the port's error; mistakes in
    our own statements stay what they are."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.NotSupportedError):
        raise
    except UnicodeEncodeError as error:
        raise Invalid.one("text", "valid Unicode", error.object) from None
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"the catalog cannot answer: {error}") from error
    except OSError as error:
        raise Unavailable(f"the catalog cannot answer: {error.strerror}") from error
