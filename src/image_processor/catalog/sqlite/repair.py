"""SQLite catalog: replaces a damaged file by a new one with all rows that can still be read.

What is lost is found again by reconciliation: only the time at which an original first arrived, and events
that were not sent, exist nowhere else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from image_processor.catalog.rows import to_messages, to_record
from image_processor.domain.errors import Unavailable

from .backup import SIDE_FILES
from .queries import CLEAR_LEASE
from .schema import migrate

_LONGEST_SKIP = 2**40


class Repaired(Struct, frozen=True):
    """What a repair has kept, and where the damaged file is now."""

    records: int
    events: int
    damaged: Path


def find_damage(catalog: Path) -> str | None:
    """What is wrong with the file ``catalog``; None if it is intact. Raises Unavailable if it cannot be read.

    A file that does not exist is intact: the next start creates it.
    """
    if not catalog.exists():
        return None
    try:
        with closing(_open(catalog, "mode=ro")) as connection:
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            connection.execute("SELECT 1 FROM records LIMIT 1")
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return str(error)
        raise Unavailable(f"the catalog {catalog} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if result == "ok" else str(result)


def repair(catalog: Path, now: datetime) -> Repaired:
    """Move the damaged file ``catalog``, which no process may have open, aside, and keep its readable rows in
    a new one. Raises Unavailable if the directory cannot be written."""
    damaged = catalog.with_name(f"{catalog.name}.damaged-{now:%Y%m%dT%H%M%S}")
    try:
        catalog.replace(damaged)
        for suffix in SIDE_FILES:
            with suppress(FileNotFoundError):
                Path(f"{catalog}{suffix}").replace(f"{damaged}{suffix}")
        with closing(sqlite3.connect(catalog, isolation_level=None)) as new:
            migrate(new)
            new.execute("BEGIN")
            records = _copy(damaged, new, "records", to_record)
            events = _copy(damaged, new, "outbox", lambda row: to_messages([row["message"]]))
            new.execute(f"UPDATE records SET {CLEAR_LEASE}")  # noqa: S608 - a constant
            new.execute("COMMIT")
    except OSError as error:
        raise Unavailable(f"cannot replace {catalog}: {error.strerror}") from error
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"cannot write {catalog}: {error}") from error
    return Repaired(records, events, damaged)


def _copy(
    damaged: Path, new: sqlite3.Connection, table: str, decode: Callable[[Mapping[str, Any]], object]
) -> int:
    """Insert the rows of ``table`` that can be read and decoded. Returns their number."""
    columns = {row[1] for row in new.execute(f"PRAGMA table_info({table})")}
    count = 0
    for row in _readable_rows(damaged, table):
        known = {name: value for name, value in row.items() if name in columns}
        # IntegrityError: a value of another type, or an id that another row has, too.
        with suppress(ValueError, KeyError, TypeError, msgspec.MsgspecError, sqlite3.IntegrityError):
            decode(known)
            names, values = ", ".join(known), ", ".join(f":{name}" for name in known)
            new.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", known)  # noqa: S608 - our columns
            count += 1
    return count


def _readable_rows(damaged: Path, table: str) -> Iterator[dict[str, Any]]:
    """The rows with and, if that fails, without the write-ahead log."""
    for options in ("mode=ro", "immutable=1"):
        try:
            with closing(_open(damaged, options)) as connection:
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 - our own name
                yield from _rows(connection, table)
        except sqlite3.DatabaseError:
            continue
        return


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Rows in the order of their rowid. Where a page cannot be read, it skips 1, 2, 4 ... rows."""
    after, skip = -1, 1
    while skip < _LONGEST_SKIP:
        try:
            cursor = connection.execute(
                f"SELECT rowid AS rowid_, * FROM {table} WHERE rowid > ? ORDER BY rowid",  # noqa: S608
                (after,),
            )
            for values in cursor:
                row = {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
                after, skip = row["rowid_"], 1
                yield row
        except sqlite3.DatabaseError:
            after, skip = after + skip, 2 * skip
        else:
            return


def _open(file: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?{options}", uri=True)
