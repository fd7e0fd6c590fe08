"""SQLite catalog: a copy of it in one file, and the way back.

Both are made beside their target and renamed when they are whole and judged, so that a kill
leaves the old file or the new one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from image_processor.domain.errors import Invalid, Unavailable

from .queries import NO_CLAIM
from .schema import MIGRATIONS, migrate

_BUSY_SECONDS = 10
_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a file. A log of another file must never meet it: SQLite would play it."""


def back_up(catalog: Path, copy: Path) -> int:
    """Copy ``catalog`` as it is at one moment, while others go on writing; returns how many records.

    Replaces ``copy``. Raises Unavailable if either cannot be read or written, or is damaged.
    """
    try:
        with _beside(copy) as draft:
            _copy(catalog, draft)
            return _judged(draft)
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"the catalog cannot be copied: {error}") from error


def restore(copy: Path, catalog: Path) -> int:
    """Put ``copy`` in the place of ``catalog``; returns how many records. Nobody may have it open.

    Claims are given up, since nobody works under them any more. Raises Invalid, and changes nothing,
    if ``copy`` is no whole catalog of this version or an earlier one.
    """
    try:
        with _beside(catalog, before=lambda: _clear(catalog)) as draft:
            _copy(copy, draft)
            count = _judged(draft)
            with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
                migrate(connection)
                connection.execute(f"UPDATE records SET {NO_CLAIM}")  # noqa: S608 - a constant
            return count
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the catalog cannot be restored: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Invalid.one("FILE", f"a backup of a catalog, but SQLite says: {error}", str(copy)) from error


def _copy(source: Path, target: Path) -> None:
    # Read-only, so that a name with nothing behind it does not become an empty catalog.
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as one,
        closing(sqlite3.connect(target)) as other,
    ):
        one.backup(other)  # all pages in one step: no write comes between two of them
        other.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it


def _judged(file: Path) -> int:
    """How many records a whole catalog has; sqlite3.DatabaseError tells what is wrong with another."""
    with closing(sqlite3.connect(file)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not 1 <= version <= len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"expected schema version 1-{len(MIGRATIONS)}, got {version}")
        if not connection.execute("PRAGMA table_info(records)").fetchall():
            raise sqlite3.DatabaseError("no records in it")
        (count,) = connection.execute("SELECT count(*) FROM records").fetchone()
        return int(count)


@contextmanager
def _beside(target: Path, before: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A draft that replaces ``target`` at the end, after ``before``; after an error it is gone."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            before()
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror}") from error


def _clear(catalog: Path) -> None:
    """Take away what lies beside the old catalog, its last writes first brought into it."""
    if catalog.is_file():
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(catalog)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for ending in _BESIDE:
        Path(f"{catalog}{ending}").unlink(missing_ok=True)
