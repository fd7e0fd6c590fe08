"""Catalog adapter: records in one SQLite file, for the threads and processes of one machine.

Every change is one statement that checks its own condition, so no two callers can both find it true; with
messages for the outbox it is one transaction.
A lease is three columns of the record's row: `claim_token`, `claim_owner` and `claim_expires_at`.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from msgspec.json import encode

from image_processor.catalog.leases import (
    check_is_leased,
    extended,
    lease_busy,
    lease_lost,
    new_record,
    new_token,
    no_record,
)
from image_processor.catalog.nearest import nearest, similar_bands
from image_processor.catalog.paging import check_limit, has_text, read_cursor, write_cursor
from image_processor.catalog.rows import (
    to_focus_text,
    to_message_text,
    to_messages,
    to_micros,
    to_record,
    to_row,
    to_state,
)
from image_processor.domain.errors import CatalogDamaged
from image_processor.domain.models import Focus, Lease, OutboxMessage, Record, Upload
from image_processor.domain.ports import CatalogEntry, Folder, Neighbours, Page, Query, RecordState, Sort

from .errors import translate_errors
from .event_queue import SqliteEventQueue
from .queries import (
    ACQUIRE,
    ADD_MESSAGE,
    COMPLETE,
    COUNT_KEYS,
    DELETE,
    GET,
    GET_MANY,
    HAS_TEXT,
    HASHES,
    HASHES_BY_BAND,
    IDS_BY_HASH,
    MARK_SENT,
    MAX_SORTED,
    NEXT_IN_FOLDER,
    RELEASE,
    RELEASE_OWNER,
    RENEW,
    SCAN,
    SCAN_IDS,
    SCAN_STATES,
    SET_FOCUS,
    UNSENT,
    Values,
    is_by_key,
    key_range,
    listing_values,
    select_count,
    select_page,
)
from .readers import Readers
from .schema import migrate, transaction

Row = dict[str, Any]

_BUSY_SECONDS = 10
_BUSY_RETRY_SECONDS = 0.01
_SCAN_PAGE = 500
_HASHES_PAGE = 5000

_log = logging.getLogger(__name__)


class SqliteCatalog:
    """Catalog in an SQLite file, or in memory for as long as the object exists.

    All threads share one connection for statements that find their rows by an index, which take microseconds,
    one at a time. Listings have connections of their own, so that nothing waits for a slow one; in memory,
    where there is one connection only, they share it. Raises Invalid for a file with a newer schema.
    """

    def __init__(self, path: Path | Literal[":memory:"]) -> None:
        self._lock = Lock()
        self._path = path
        self._damage: CatalogDamaged | None = None
        with translate_errors(str(path), lambda _: None):
            self._connection = _connect(path)
            self._file = os.stat(path) if isinstance(path, Path) else None  # noqa: PTH116 - as below
        self._readers = Readers(lambda: _connect_reader(path)) if isinstance(path, Path) else None

    @property
    def damage(self) -> str | None:
        """What is known to be wrong with the file; None if nothing is. Rows that can be read still are."""
        return None if self._damage is None else str(self._damage)

    def close(self) -> None:
        """Close the file. No other method may be called afterwards."""
        if self._readers is not None:
            self._readers.close()
        with self._lock:
            self._connection.close()

    def get(self, image_id: str) -> Record | None:
        rows = self._execute(GET, {"id": image_id})
        return to_record(rows[0]) if rows else None

    def get_many(self, image_ids: Sequence[str]) -> dict[str, Record]:
        rows = self._execute(GET_MANY, {"ids": json.dumps(image_ids)})
        return {row["id"]: to_record(row) for row in rows}

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        record = new_record(upload, now)
        token, expires_at = new_token(), now + duration
        lease = {
            "claim_token": token,
            "claim_owner": owner,
            "claim_expires_at": to_micros(expires_at),
            "now": to_micros(now),
        }
        rows = self._execute(ACQUIRE, to_row(record) | lease)
        if not rows:
            raise lease_busy(upload)
        return Lease(record.id, token, owner, expires_at, to_record(rows[0]), self.unsent(record.id))

    def renew(
        self, lease: Lease, *, now: datetime, duration: timedelta, messages: Sequence[OutboxMessage] = ()
    ) -> Lease:
        renewed = extended(lease, now + duration, messages)
        self._change_leased(RENEW, lease, {"claim_expires_at": to_micros(renewed.expires_at)}, messages)
        return renewed

    def complete(self, lease: Lease, record: Record, messages: Sequence[OutboxMessage] = ()) -> Record:
        check_is_leased(lease, record)
        values = to_row(record) | listing_values(record)
        return to_record(self._change_leased(COMPLETE, lease, values, messages))

    def set_focus(self, image_id: str, focus: Focus | None) -> Record:
        rows = self._execute(SET_FOCUS, {"id": image_id, "focus": to_focus_text(focus)})
        if not rows:
            raise no_record(image_id)
        return to_record(rows[0])

    def delete(self, lease: Lease, messages: Sequence[OutboxMessage] = ()) -> None:
        self._change_leased(DELETE, lease, {}, messages)

    def release(self, lease: Lease) -> None:
        self._execute(RELEASE, _lease_values(lease))

    def unsent(self, image_id: str) -> tuple[OutboxMessage, ...]:
        return to_messages(row["message"] for row in self._execute(UNSENT, {"image_id": image_id}))

    def mark_sent(self, image_id: str, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            self._execute(MARK_SENT, _message_values(image_id, message))

    def event_queue(self) -> SqliteEventQueue:
        """The events in all outboxes, with what a sender that retries knows about each."""
        return SqliteEventQueue(self._execute)

    def release_owner(self, owner_prefix: str) -> int:
        """Release every lease whose owner starts with ``owner_prefix``. Returns how many.

        For a server that has made sure, by a lock of its own, that no such owner is running.
        """
        return len(self._execute(RELEASE_OWNER, {"owner": owner_prefix, "length": len(owner_prefix)}))

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        check_limit(limit)
        after = None if cursor is None else read_cursor(cursor, query.sort)
        # One row more than requested shows whether there is a next page.
        by_key = self._has_few_keys(query.prefix) or (query.sort is Sort.NEWEST and is_by_key(query))
        rows = self._list(*select_page(query, after, limit + 1, by_key=by_key))
        records = tuple(to_record(row) for row in rows[:limit])
        return Page(records, write_cursor(records[-1], query.sort) if len(rows) > limit else None)

    def folders(self, prefix: str, *, limit: int) -> tuple[Folder, ...]:
        # One search of the index for each folder, which skips its other keys, and its part of the index.
        values = {"after": prefix, "end": key_range(prefix)["end"], "length": len(prefix)}
        found: list[Folder] = []
        while len(found) < limit and (rows := self._list(NEXT_IN_FOLDER, values)):
            name, _, _ = rows[0]["key"].removeprefix(prefix).partition("/")
            keys = key_range(f"{prefix}{name}/")
            (counted,) = self._list(COUNT_KEYS, keys | {"limit": -1})
            found.append(Folder(f"{prefix}{name}/", counted["count"]))
            values["after"] = keys["end"]
        return tuple(found)

    def count(self, query: Query) -> int:
        return int(self._list(*select_count(query))[0]["count"])

    def _has_few_keys(self, prefix: str) -> bool:
        """Whether few enough records have the prefix to sort all of them for a page."""
        if not prefix:
            return False
        rows = self._list(COUNT_KEYS, key_range(prefix) | {"limit": MAX_SORTED + 1})
        return int(rows[0]["count"]) <= MAX_SORTED

    def scan(self, *, after: str = "") -> Iterator[Record]:
        # Page by page, because a read transaction left open keeps the write-ahead log growing.
        while rows := self._list(SCAN, {"after": after, "limit": _SCAN_PAGE}):
            yield from map(to_record, rows)
            after = rows[-1]["id"]

    def scan_entries(self, *, after: str = "") -> Iterator[CatalogEntry]:
        while rows := self._list(SCAN_IDS, {"after": after, "limit": _SCAN_PAGE}):
            ids = [row["id"] for row in rows]
            yield from (CatalogEntry(id_, self.get(id_), self.unsent(id_)) for id_ in ids)
            after = ids[-1]

    def scan_states(self, bucket: str) -> Iterator[RecordState]:
        after = ""
        while rows := self._list(SCAN_STATES, {"after": after, "bucket": bucket, "limit": _SCAN_PAGE}):
            yield from map(to_state, rows)
            after = rows[-1]["key"]

    def near(self, perceptual_hash: int, *, distance: int, limit: int) -> Neighbours:
        bands = similar_bands(perceptual_hash, distance)
        hashes = self._hashes() if bands is None else self._hashes_near(perceptual_hash, distance, bands)
        found = nearest(hashes, perceptual_hash, distance, limit)
        records = ((bits, self.get(id_)) for bits, id_ in found)
        return Neighbours(tuple((bits, record) for bits, record in records if record is not None))

    def _hashes_near(
        self, wanted: int, distance: int, bands: Sequence[Sequence[str]]
    ) -> Iterator[tuple[str, str]]:
        """The hash and the id of every record whose hash is within ``distance`` bits, of those that have one
        of the values in one of their bands."""
        values = {f"band_{number}": encode(texts).decode() for number, texts in enumerate(bands)}
        rows = self._list(HASHES_BY_BAND, values)
        candidates = {text for row in rows if row["hashes"] for text in row["hashes"].split()}
        near = [text for text in candidates if (wanted ^ int(text, 16)).bit_count() <= distance]
        found = self._list(IDS_BY_HASH, {"hashes": encode(near).decode()}) if near else ()
        return ((row["perceptual_hash"], row["id"]) for row in found)

    def _hashes(self) -> Iterator[tuple[str, str]]:
        """The hash and the id of every record that has one, read from an index."""
        after = {"hash": "", "id": ""}
        while rows := self._list(HASHES, {**after, "limit": _HASHES_PAGE}):
            yield from ((row["perceptual_hash"], row["id"]) for row in rows)
            after = {"hash": rows[-1]["perceptual_hash"], "id": rows[-1]["id"]}

    def reindex(self, *, limit: int | None = None) -> int:
        del limit
        return 0  # opening the file has migrated it

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_errors(self._name(), self._note_damage)

    def _name(self) -> str:
        """The file and its folder only: error messages must not reveal where the data directory is."""
        return str(Path(*self._path.parts[-2:])) if isinstance(self._path, Path) else self._path

    def _note_damage(self, error: CatalogDamaged) -> None:
        if self._damage is None:
            self._damage = error
            _log.error("%s (%s)", error, self._path)

    def _check_file(self) -> None:
        """Raise CatalogDamaged if another file has the name by now: what is written is lost."""
        if self._file is None:
            return
        try:
            is_same = os.path.samestat(os.stat(self._path), self._file)  # noqa: PTH116 - a Path takes four times as long
        except FileNotFoundError:
            is_same = False
        if not is_same:
            error = CatalogDamaged.of(
                self._name(), "the file was removed or replaced while the server was running"
            )
            self._note_damage(error)
            raise error

    def _change_leased(
        self, statement: str, lease: Lease, values: Values, messages: Sequence[OutboxMessage] = ()
    ) -> Row:
        """Run a statement that changes the row of a lease, and add messages to the outbox. Raises LeaseLost
        if the statement changed no row."""
        with self._lock, self._translate_errors():
            self._check_file()
            # A statement alone is a transaction.
            with transaction(self._connection) if messages else nullcontext():
                rows = self._connection.execute(statement, values | _lease_values(lease)).fetchall()
                if not rows:
                    raise lease_lost(lease)
                for message in messages:
                    self._connection.execute(ADD_MESSAGE, _message_values(lease.image_id, message))
            row: Row = rows[0]
            return row

    def _execute(self, statement: str, values: Values) -> tuple[Row, ...]:
        with self._lock, self._translate_errors():
            self._check_file()
            return tuple(self._connection.execute(statement, values).fetchall())

    def _list(self, statement: str, values: Values) -> tuple[Row, ...]:
        """The rows of a statement that may read many and changes none."""
        if self._readers is None:
            return self._execute(statement, values)
        with self._translate_errors(), self._readers.connection() as connection:
            self._check_file()
            return tuple(connection.execute(statement, values).fetchall())


def _connect(path: Path | Literal[":memory:"]) -> sqlite3.Connection:
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # Autocommit: every statement is a transaction.
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _enable_wal(connection)
        # NORMAL, not FULL: with WAL a killed process loses nothing. A power cut may lose the last
        # commits, and the next reconciliation repeats that work.
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    _prepare(connection)
    return connection


def _connect_reader(path: Path) -> sqlite3.Connection:
    """A connection to the file of an open catalog that can change nothing."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    _prepare(connection)
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.row_factory = _row_as_dict
    connection.create_function(HAS_TEXT, 2, has_text, deterministic=True)


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Enable the write-ahead log. When two connections do so at once, SQLite returns BUSY without
    waiting, to avoid a deadlock; so this waits and tries again."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_BUSY_RETRY_SECONDS)
        else:
            return


def _row_as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _message_values(image_id: str, message: OutboxMessage) -> Values:
    return {
        "message_id": message.id,
        "kind": message.kind.value,
        "image_id": image_id,
        "message": to_message_text(message),
        "created_at": to_micros(message.created_at),
    }


def _lease_values(lease: Lease) -> Values:
    return {"id": lease.image_id, "claim_token": lease.token}
