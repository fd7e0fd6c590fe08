"""SQLite catalog: the events in its outboxes as a queue with retries, for the sender of one machine.

A row is an event. It is due at `due_at`; without that time it is dead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from image_processor.catalog.rows import from_micros, to_messages, to_micros
from image_processor.domain.models import OutboxMessage
from image_processor.domain.ports import QueuedEvent

Execute = Callable[[str, dict[str, Any]], tuple[dict[str, Any], ...]]

_DUE = """
SELECT id, message, due_at, attempts, error FROM outbox
WHERE kind = 'event' AND due_at <= :now ORDER BY due_at, rowid LIMIT :limit
"""
_NEXT_DUE = "SELECT min(due_at) AS due_at FROM outbox WHERE kind = 'event'"
_REMOVE = "DELETE FROM outbox WHERE kind = 'event' AND id = :id"
_POSTPONE = """
UPDATE outbox SET due_at = :due_at, attempts = attempts + 1, error = :error
WHERE kind = 'event' AND id = :id
"""
_LIST = """
SELECT message, due_at, attempts, error FROM outbox
WHERE kind = 'event' ORDER BY created_at, rowid LIMIT :limit
"""
_COUNT = "SELECT count(due_at) AS waiting, count(*) AS unsent FROM outbox WHERE kind = 'event'"
_REDRIVE = """
UPDATE outbox SET due_at = :now, attempts = 0
WHERE kind = 'event' AND due_at IS NULL AND (:id IS NULL OR id = :id) RETURNING id
"""


class SqliteEventQueue:
    """EventQueue over the outboxes of an SqliteCatalog, which passes its ``execute``."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def due(self, now: datetime, *, limit: int) -> tuple[QueuedEvent, ...]:
        due: list[QueuedEvent] = []
        for row in self._execute(_DUE, {"now": to_micros(now), "limit": limit}):
            if queued := _queued(row):
                due += queued
            else:  # or it would stay due, before all others
                values = {"id": row["id"], "due_at": None, "error": "the message cannot be decoded"}
                self._execute(_POSTPONE, values)
        return tuple(due)

    def next_due(self) -> datetime | None:
        due_at = self._execute(_NEXT_DUE, {})[0]["due_at"]
        return None if due_at is None else from_micros(due_at)

    def remove(self, message: OutboxMessage) -> None:
        self._execute(_REMOVE, {"id": message.id})

    def postpone(self, message: OutboxMessage, due_at: datetime | None, error: str) -> None:
        due = None if due_at is None else to_micros(due_at)
        self._execute(_POSTPONE, {"id": message.id, "due_at": due, "error": error})

    def list(self, *, limit: int) -> tuple[QueuedEvent, ...]:
        return tuple(chain.from_iterable(map(_queued, self._execute(_LIST, {"limit": limit}))))

    def count(self) -> tuple[int, int]:
        (row,) = self._execute(_COUNT, {})
        return row["waiting"], row["unsent"] - row["waiting"]

    def redrive(self, now: datetime, id_: str | None = None) -> int:
        return len(self._execute(_REDRIVE, {"now": to_micros(now), "id": id_}))


def _queued(row: Mapping[str, Any]) -> tuple[QueuedEvent, ...]:
    """The event of a row; nothing if its message cannot be decoded."""
    due_at = None if row["due_at"] is None else from_micros(row["due_at"])
    messages = to_messages([row["message"]])
    return tuple(QueuedEvent(message, due_at, row["attempts"], row["error"]) for message in messages)
