"""Responses to requests with an Idempotency-Key, in a file of their own, so that they survive a restart.

Not in the catalog: they last a day and need no backup. `api.idempotency` decides what is stored.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from image_processor.domain.errors import InsufficientStorage, Unavailable

FILE = "idempotency.sqlite"

LIFETIME_SECONDS = 24 * 3600
"""How long a response is kept."""

MAX_RESPONSES = 100_000
"""How many are kept. Older ones are deleted earlier than LIFETIME_SECONDS."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    response BLOB NOT NULL
) STRICT
"""


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
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise _translated(error) from error

    def find(self, name: str) -> StoredResponse | None:
        """The response; None if there is none or it has expired."""
        row = self._execute(
            "SELECT response FROM responses WHERE name = ? AND created_at > ?", (name, self._oldest())
        )
        return msgspec.msgpack.decode(row[0][0], type=StoredResponse) if row else None

    def put(self, name: str, response: StoredResponse) -> None:
        """Store a response in place of an expired one, and delete what has expired."""
        encoded = msgspec.msgpack.encode(response)
        self._execute("DELETE FROM responses WHERE created_at <= ?", (self._oldest(),))
        self._execute(
            "INSERT OR REPLACE INTO responses (name, created_at, response) VALUES (?, ?, ?)",
            (name, self._clock(), encoded),
        )
        self._execute(
            "DELETE FROM responses WHERE number <= (SELECT max(number) FROM responses) - ?", (MAX_RESPONSES,)
        )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _oldest(self) -> float:
        return self._clock() - LIFETIME_SECONDS

    def _execute(self, statement: str, values: tuple[object, ...]) -> list[tuple[bytes]]:
        try:
            with self._lock:
                return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _translated(error) from error


def _translated(error: sqlite3.Error) -> Unavailable:
    is_full = getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}
    return (InsufficientStorage if is_full else Unavailable)(f"{FILE}: {error}")
