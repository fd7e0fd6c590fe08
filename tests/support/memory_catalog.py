"""A Catalog in a dictionary: the contract's plainest reading, quick enough for a hundred thousand events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from msgspec.structs import replace

from image_processor.catalog.paging import check_limit, read_cursor, write_cursor
from image_processor.catalog.rows import to_ticks
from image_processor.domain.errors import Invalid, LeaseBusy, LeaseLost
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, Record, Upload
from image_processor.domain.ports import Page, Query


@dataclass
class Row:
    """A record and the claim on it; without a token there is none."""

    record: Record
    token: str | None = None
    owner: str = ""
    expires_at: datetime | None = None

    def is_held(self, now: datetime) -> bool:
        return self.token is not None and self.expires_at is not None and self.expires_at > now


class MemoryCatalog:
    """Records in a dictionary by id; each method is one step for all threads."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._lock = threading.RLock()
        self._tokens = count(1)

    def get(self, image_id: str) -> Record | None:
        row = self._rows.get(image_id)
        return row.record if row else None

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        id_ = image_id(upload.bucket, upload.key)
        new = Record(id=id_, bucket=upload.bucket, key=upload.key, created_at=now, updated_at=now)
        with self._lock:
            row = self._rows.setdefault(id_, Row(new))
            if row.is_held(now):
                raise LeaseBusy(f"another worker holds the lease on {upload.key!r}")
            row.token, row.owner, row.expires_at = f"t{next(self._tokens)}", owner, now + duration
            return Lease(id_, row.token, owner, row.expires_at, row.record)

    def renew(self, lease: Lease, *, now: datetime, duration: timedelta) -> Lease:
        with self._lock:
            self._ours(lease).expires_at = now + duration
        return replace(lease, expires_at=now + duration)

    def complete(self, lease: Lease, record: Record) -> Record:
        if record.id != lease.image_id:
            raise Invalid.one("record", f"the record {lease.image_id} of the lease", record.id)
        with self._lock:
            row = self._ours(lease)
            stored = row.record
            seen, sequencer = stored.sequencer, record.sequencer
            if seen is not None and sequencer is not None and seen > sequencer:
                raise LeaseLost(f"{lease.owner} worked on an older event of {stored.key!r} than the record's")
            row.record = replace(
                record,
                bucket=stored.bucket,
                key=stored.key,
                created_at=stored.created_at,
                sequencer=seen if sequencer is None else sequencer,
                revision=stored.revision + 1,
            )
            row.token = None
            return row.record

    def delete(self, lease: Lease) -> None:
        with self._lock:
            self._ours(lease)
            del self._rows[lease.image_id]

    def release(self, lease: Lease) -> None:
        with self._lock:
            row = self._rows.get(lease.image_id)
            if row is not None and row.token == lease.token:
                row.token = None

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        check_limit(limit)
        after = None if cursor is None else read_cursor(cursor)
        wanted = [row.record for row in self._rows.values() if _is_wanted(row.record, query, after)]
        wanted.sort(key=_position, reverse=True)
        more = len(wanted) > limit
        return Page(tuple(wanted[:limit]), write_cursor(wanted[limit - 1]) if more else None)

    def scan(self) -> Iterator[Record]:
        for id_ in list(self._rows):
            if row := self._rows.get(id_):
                yield row.record

    def claims_of(self, owner: str) -> set[str]:
        """The keys that ``owner`` has a claim on, live or expired."""
        return {row.record.key for row in self._rows.values() if row.token and row.owner == owner}

    def _ours(self, lease: Lease) -> Row:
        row = self._rows.get(lease.image_id)
        if row is None or row.token != lease.token:
            raise LeaseLost(f"{lease.owner} no longer holds the lease on {lease.record.key!r}")
        return row


def _position(record: Record) -> tuple[int, str]:
    return to_ticks(record.created_at), record.id


def _is_wanted(record: Record, query: Query, after: tuple[int, str] | None) -> bool:
    return (
        record.key.startswith(query.prefix)
        and query.status in {None, record.status}
        and (query.since is None or record.created_at >= query.since)
        and (query.until is None or record.created_at < query.until)
        and (after is None or _position(record) < after)
    )
