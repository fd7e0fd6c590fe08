"""SQLite catalog: backup into one file, and restore.

Both write a temporary file next to the target, check it, and rename it, so a kill leaves the old
file or the new one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from image_processor.domain.errors import Invalid, Problem, Unavailable

from .queries import CLEAR_LEASE
from .schema import MIGRATIONS, migrate

_BUSY_SECONDS = 10
SIDE_FILES = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps next to a database. SQLite would replay a log left from
another database, so they are removed on restore."""


def back_up(catalog: Path, copy: Path) -> int:
    """Copy a snapshot of ``catalog`` to ``copy`` (replaced if it exists) while others keep writing.
    Returns the number of records.

    Raises Unavailable if either file cannot be read or written, or is damaged.
    """
    try:
        with _temporary_copy(copy) as draft:
            _copy(catalog, draft)
            return _check(draft)
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"the catalog cannot be copied: {error}") from error


def restore(copy: Path, catalog: Path) -> int:
    """Replace ``catalog``, which no process may have open, by ``copy``. Returns the number of records.

    Releases all leases, because their owners no longer run. Raises Invalid and changes nothing if
    ``copy`` is not an intact catalog of this schema version or an earlier one, Unavailable if a file
    cannot be read or written.
    """
    try:
        with _temporary_copy(catalog, before_replace=lambda: _remove_side_files(catalog)) as draft:
            _copy(copy, draft)
            count = _check(draft)
            with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
                migrate(connection)
                connection.execute(f"UPDATE records SET {CLEAR_LEASE}")  # noqa: S608 - a constant
            return count
    except sqlite3.OperationalError as error:
        raise Unavailable(f"the catalog cannot be restored: {error}") from error
    except sqlite3.DatabaseError as error:
        raise Invalid([Problem("FILE", "a backup of a catalog", f"{copy}: {error}")]) from error


def _copy(source: Path, target: Path) -> None:
    # Read-only, so that a missing file does not become an empty catalog.
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as source_connection,
        closing(sqlite3.connect(target)) as target_connection,
    ):
        source_connection.backup(target_connection)  # all pages in one step, so the copy is a snapshot
        target_connection.execute("PRAGMA journal_mode = DELETE")  # no side files


def _check(file: Path) -> int:
    """The number of records in an intact catalog. Raises sqlite3.DatabaseError for any other file."""
    with closing(sqlite3.connect(file)) as connection:
        (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(result)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not 1 <= version <= len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"expected schema version 1-{len(MIGRATIONS)}, got {version}")
        if not connection.execute("PRAGMA table_info(records)").fetchall():
            raise sqlite3.DatabaseError("it has no table of records")
        (count,) = connection.execute("SELECT count(*) FROM records").fetchone()
        return int(count)


@contextmanager
def _temporary_copy(target: Path, before_replace: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """The path of a temporary file that replaces ``target`` at the end. Deleted after an error."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            before_replace()
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror}") from error


def _remove_side_files(catalog: Path) -> None:
    """Write the log into the old catalog, then delete its side files."""
    if catalog.is_file():
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(catalog)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in SIDE_FILES:
        Path(f"{catalog}{suffix}").unlink(missing_ok=True)
