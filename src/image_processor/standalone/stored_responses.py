"""Responses to requests with an Idempotency-Key, in a file of their own, so that they survive a restart.

Not in the catalog: they last a day and need no backup, and an empty file takes the place of a damaged one.
`api.idempotency` decides what is stored.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from image_processor.domain.errors import InsufficientStorage, Unavailable

FILE = "idempotency.sqlite"

LIFETIME_SECONDS = 24 * 3600
"""How long a response is kept."""

MAX_RESPONSES = 100_000
"""How many are kept. Of more, the oldest of the client that has most is deleted before LIFETIME_SECONDS: a
client with many pushes out its own."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    response BLOB NOT NULL,
    client TEXT NOT NULL DEFAULT ''
) STRICT
"""
_ADD_CLIENT = "ALTER TABLE responses ADD COLUMN client TEXT NOT NULL DEFAULT ''"
"""For a file of version 0.2.0."""
_INDEX = "CREATE INDEX IF NOT EXISTS responses_by_client ON responses (client)"

_DELETE_SURPLUS = """
DELETE FROM responses WHERE number IN (
    SELECT number FROM responses
    WHERE client = (SELECT client FROM responses GROUP BY client ORDER BY count(*) DESC, min(number) LIMIT 1)
    ORDER BY number LIMIT ?
)
"""
_FILES = ("", "-wal", "-shm")
"""What SQLite adds to the name of a file for those next to it."""

_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_log = logging.getLogger(__name__)


class StoredResponse(Struct, frozen=True):
    """The response to a request. ``fingerprint`` is a digest of the request."""

    fingerprint: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class StoredResponses:
    """The responses by the name of their key. Methods may be called from any thread. They raise
    Unavailable."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            if not _is_damage(error):
                raise _translated(error) from error
            self._connection = self._open_anew()

    def find(self, name: str) -> StoredResponse | None:
        """The response; None if there is none or it has expired."""
        row = self._execute(
            "SELECT response FROM responses WHERE name = ? AND created_at > ?", (name, self._oldest())
        )
        try:
            return msgspec.msgpack.decode(row[0][0], type=StoredResponse) if row else None
        except msgspec.DecodeError:  # of another version of this program
            return None

    def put(self, name: str, response: StoredResponse, client: str = "") -> None:
        """Store a response to ``client`` in place of an expired one, and delete what has expired."""
        encoded = msgspec.msgpack.encode(response)
        self._execute("DELETE FROM responses WHERE created_at <= ?", (self._oldest(),))
        self._execute(
            "INSERT OR REPLACE INTO responses (name, created_at, response, client) VALUES (?, ?, ?, ?)",
            (name, self._clock(), encoded, client),
        )
        self._delete_surplus()

    def _delete_surplus(self) -> None:
        ((first, last),) = self._execute("SELECT min(number), max(number) FROM responses", ())
        if last - first < MAX_RESPONSES:  # there cannot be more
            return
        ((count,),) = self._execute("SELECT count(*) FROM responses", ())
        if count > MAX_RESPONSES:
            self._execute(_DELETE_SURPLUS, (count - MAX_RESPONSES,))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _oldest(self) -> float:
        return self._clock() - LIFETIME_SECONDS

    def _open(self) -> sqlite3.Connection:
        if not self._file.exists():
            self._file.touch(mode=0o600)  # responses have signed URLs
        connection = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_SCHEMA)
            columns = connection.execute("SELECT name FROM pragma_table_info('responses')")
            if ("client",) not in columns.fetchall():
                connection.execute(_ADD_CLIENT)
            connection.execute(_INDEX)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _open_anew(self) -> sqlite3.Connection:
        """Delete the damaged file, and begin another one. Raises Unavailable."""
        _log.error(
            "%s is damaged, and an empty one takes its place: requests that are sent again may be run again",
            FILE,
        )
        try:
            for suffix in _FILES:
                self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
            return self._open()
        except (sqlite3.Error, OSError) as error:
            raise _translated(error) from error

    def _execute(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise _translated(error) from error
            self._connection.close()
            self._connection = self._open_anew()
            return self._connection.execute(statement, values).fetchall()


def _is_damage(error: Exception) -> bool:
    return _code(error) in _DAMAGED


def _code(error: Exception) -> int:
    """SQLite's primary result code, which is the last byte of the extended one; 0 of other errors."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _translated(error: Exception) -> Unavailable:
    return (InsufficientStorage if _code(error) in _NO_ROOM else Unavailable)(f"{FILE}: {error}")
