"""SQLite catalog: connections of their own for queries that may read many rows.

With a write-ahead log a reader sees all that was committed before its query began, and neither waits for
writers nor holds them up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import LifoQueue

MAX_READERS = 4
"""Queries that run at the same time; others wait. Each connection has a page cache of up to 2 MB."""


class Readers:
    """Up to MAX_READERS connections, which ``connect`` opens when they are first needed."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        # The last one that was used comes first, so that no more are opened than are needed at once.
        self._free: LifoQueue[sqlite3.Connection | None] = LifoQueue()
        for _ in range(MAX_READERS):
            self._free.put(None)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile. Raises sqlite3.Error if it cannot be opened."""
        connection = self._free.get()
        try:
            if connection is None:
                connection = self._connect()
            yield connection
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Close all connections, each when its query has ended. The object cannot be used afterwards."""
        for _ in range(MAX_READERS):
            connection = self._free.get()
            if connection is not None:
                connection.close()
