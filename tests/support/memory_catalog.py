"""A Catalog in a dictionary, for simulations of a hundred thousand events."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from msgspec.structs import replace

from image_processor.catalog.leases import (
    check_is_leased,
    completed,
    extended,
    lease_busy,
    lease_lost,
    new_record,
    no_record,
)
from image_processor.catalog.nearest import nearest_records
from image_processor.catalog.paging import folders_of, matches, page_of
from image_processor.catalog.rows import merge_messages, to_row, to_state
from image_processor.domain.models import Focus, Lease, OutboxMessage, Record, Upload
from image_processor.domain.ports import (
    CatalogEntry,
    Folder,
    Neighbours,
    ObjectStore,
    Page,
    Query,
    RecordState,
)

_catalogs: dict[str, MemoryCatalog] = {}


@dataclass
class Row:
    """A record and the lease on it. Without a token there is no lease."""

    record: Record
    token: str | None = None
    owner: str = ""
    expires_at: datetime | None = None

    def is_leased(self, now: datetime) -> bool:
        return self.token is not None and self.expires_at is not None and self.expires_at > now


class MemoryCatalog:
    """Records in a dictionary by id. Every method is atomic for all threads."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._outbox: dict[str, tuple[OutboxMessage, ...]] = {}
        self._lock = threading.RLock()
        self._tokens = count(1)

    def get(self, image_id: str) -> Record | None:
        row = self._rows.get(image_id)
        return row.record if row else None

    def get_many(self, image_ids: Sequence[str]) -> dict[str, Record]:
        return {id_: record for id_ in image_ids if (record := self.get(id_))}

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        new = new_record(upload, now)
        with self._lock:
            row = self._rows.setdefault(new.id, Row(new))
            if row.is_leased(now):
                raise lease_busy(upload)
            row.token, row.owner, row.expires_at = f"t{next(self._tokens)}", owner, now + duration
            return Lease(new.id, row.token, owner, row.expires_at, row.record, self.unsent(new.id))

    def renew(
        self, lease: Lease, *, now: datetime, duration: timedelta, messages: Sequence[OutboxMessage] = ()
    ) -> Lease:
        with self._lock:
            self._leased_row(lease).expires_at = now + duration
            self._add(lease.image_id, messages)
        return extended(lease, now + duration, messages)

    def complete(self, lease: Lease, record: Record, messages: Sequence[OutboxMessage] = ()) -> Record:
        check_is_leased(lease, record)
        with self._lock:
            row = self._leased_row(lease)
            row.record = completed(lease, row.record, record)
            row.token = None
            self._add(lease.image_id, messages)
            return row.record

    def set_focus(self, image_id: str, focus: Focus | None) -> Record:
        with self._lock:
            row = self._rows.get(image_id)
            if row is None:
                raise no_record(image_id)
            row.record = replace(row.record, focus=focus)
            return row.record

    def delete(self, lease: Lease, messages: Sequence[OutboxMessage] = ()) -> None:
        with self._lock:
            self._leased_row(lease)
            del self._rows[lease.image_id]
            self._add(lease.image_id, messages)

    def unsent(self, image_id: str) -> tuple[OutboxMessage, ...]:
        return self._outbox.get(image_id, ())

    def mark_sent(self, image_id: str, messages: Sequence[OutboxMessage]) -> None:
        with self._lock:
            left = tuple(item for item in self._outbox.pop(image_id, ()) if item not in messages)
            if left:
                self._outbox[image_id] = left

    def _add(self, image_id: str, messages: Sequence[OutboxMessage]) -> None:
        if messages:
            self._outbox[image_id] = merge_messages(self.unsent(image_id), messages)

    def release(self, lease: Lease) -> None:
        with self._lock:
            row = self._rows.get(lease.image_id)
            if row is not None and row.token == lease.token:
                row.token = None

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        return page_of([row.record for row in self._rows.values()], query, limit, cursor)

    def folders(self, prefix: str, *, limit: int) -> tuple[Folder, ...]:
        return folders_of([row.record.key for row in self._rows.values()], prefix, limit)

    def count(self, query: Query) -> int:
        return sum(matches(row.record, query) for row in self._rows.values())

    def scan(self, *, after: str = "") -> Iterator[Record]:
        for id_ in sorted(self._rows):
            if id_ > after and (row := self._rows.get(id_)):
                yield row.record

    def scan_entries(self, *, after: str = "") -> Iterator[CatalogEntry]:
        for id_ in sorted({*self._rows, *self._outbox}):
            if id_ > after:
                yield CatalogEntry(id_, self.get(id_), self.unsent(id_))

    def scan_states(self, bucket: str) -> Iterator[RecordState]:
        records = [row.record for row in self._rows.values() if row.record.bucket == bucket]
        for id_ in [record.id for record in sorted(records, key=lambda record: record.key)]:
            if row := self._rows.get(id_):
                original = row.record.original
                kind = {"format": original and original.format, "alpha": original and original.alpha}
                yield to_state(to_row(row.record) | kind)

    def near(self, perceptual_hash: int, *, distance: int, limit: int) -> Neighbours:
        return Neighbours(nearest_records(self.scan(), perceptual_hash, distance, limit))

    def reindex(self, *, limit: int | None = None) -> int:
        del limit
        return 0

    def keys_leased_by(self, owner: str) -> set[str]:
        """The keys on which ``owner`` has a lease, live or expired."""
        return {row.record.key for row in self._rows.values() if row.token and row.owner == owner}

    def _leased_row(self, lease: Lease) -> Row:
        row = self._rows.get(lease.image_id)
        if row is None or row.token != lease.token:
            raise lease_lost(lease)
        return row


def open_catalog(location: str, _processed: ObjectStore, **_options: Any) -> MemoryCatalog:
    """The catalog of that name in this process. A row of image_processor.catalog.ADAPTERS can name it."""
    return _catalogs.setdefault(location, MemoryCatalog())
