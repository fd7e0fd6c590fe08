"""Catalog adapter: records as small JSON objects in the processed store, for use without a table.

One object per original holds its record and the lease on it; every change is one conditional write of
that object. docs/adr/0007 describes the costs, and what must not be public.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import LeaseLost, NotFound, PreconditionFailed, Unavailable, Unreadable
from image_processor.domain.models import Focus, Lease, OutboxMessage, Record, Upload
from image_processor.domain.ports import (
    ABSENT,
    Absent,
    Attributes,
    CatalogEntry,
    Folder,
    Neighbours,
    ObjectStore,
    Page,
    Query,
)

from .leases import (
    check_is_leased,
    completed,
    extended,
    lease_busy,
    lease_lost,
    new_record,
    new_token,
    no_record,
)
from .nearest import nearest_records
from .paging import folders_of, page_of
from .rows import Row, from_micros, merge_messages, to_micros, to_record, to_row

PREFIX = ".image-processor/records/"
"""The prefix of records in the processed store.

A record's key is PREFIX + id + `.json`. No rendition has such a key, so reconciliation does not
delete it. Records name upload buckets and keys: do not publish this prefix.
"""

_ATTRIBUTES = Attributes("application/json", "no-store")
_MAX_ATTEMPTS = 20
_READER_THREADS = 16
_MAX_COMPARED = 10_000
_LEFT_OVER_BYTES = len(b"{}")


class _StoredLease(Struct, frozen=True):
    """A lease as stored. ``expires_at`` is in microseconds since 1970."""

    token: str
    owner: str
    expires_at: int

    def is_live(self, now: datetime) -> bool:
        return from_micros(self.expires_at) > now


class _Document(Struct, frozen=True, omit_defaults=True):
    """The JSON of an object. The lease is stored as `claim`."""

    record: Row | None = None
    claim: _StoredLease | None = None
    outbox: tuple[OutboxMessage, ...] = ()


class _State(Struct, frozen=True):
    """The content of an object. Without an object it is empty; after `delete` it may have an outbox."""

    record: Record | None = None
    lease: _StoredLease | None = None
    outbox: tuple[OutboxMessage, ...] = ()

    def with_messages(self, messages: Sequence[OutboxMessage]) -> _State:
        return replace(self, outbox=merge_messages(self.outbox, messages))


_Versioned = tuple[_State, str | Absent]
"""A state, and the write condition under which it may be replaced."""

_NO_OBJECT: _Versioned = (_State(), ABSENT)

_Change = Callable[[_State], _State]
"""Returns the state to write for the current one, or raises what the port's method raises."""


class ObjectCatalog:
    """Catalog over any ObjectStore. As safe for threads and processes as the store is.

    Acquiring a lease on a new key, and every change under a lease of this process, is one write. Other
    changes are a read and a write. `list` and `scan` read every record, 16 at a time: in S3 about a
    second per thousand records, at S3's price per GET, so use a table for more than a few thousand
    originals. A record that is deleted leaves nothing, unless messages about it are unsent.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        # What this process has written under its leases, by token.
        self._written: dict[str, _Versioned] = {}

    def get(self, image_id: str) -> Record | None:
        state, _ = self._read(image_id)
        return state.record

    def get_many(self, image_ids: Sequence[str]) -> dict[str, Record]:
        states = self._read_all(iter(dict.fromkeys(image_ids)))
        return {id_: state.record for id_, state in states if state.record is not None}

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        new = new_record(upload, now)
        token, expires_at = new_token(), now + duration
        own_lease = _StoredLease(token, owner, to_micros(expires_at))

        def take(state: _State) -> _State:
            current = state.lease
            # A request that is repeated because its response was lost finds its own token.
            if current is not None and current.is_live(now) and current.token != token:
                raise lease_busy(upload)
            return replace(state, record=state.record or new, lease=own_lease)

        # Most uploads have new keys: assume that, and read only if it turns out to be wrong.
        state, version = self._change(new.id, take, assumed=_NO_OBJECT)
        self._written[token] = (state, version)
        return Lease(new.id, token, owner, expires_at, state.record or new, state.outbox)

    def renew(
        self, lease: Lease, *, now: datetime, duration: timedelta, messages: Sequence[OutboxMessage] = ()
    ) -> Lease:
        renewed = extended(lease, now + duration, messages)
        stored = _StoredLease(lease.token, lease.owner, to_micros(renewed.expires_at))
        self._change_leased(lease, lambda _, state: replace(state, lease=stored).with_messages(messages))
        return renewed

    def complete(self, lease: Lease, record: Record, messages: Sequence[OutboxMessage] = ()) -> Record:
        check_is_leased(lease, record)

        def change(stored: Record, state: _State) -> _State:
            finished = replace(state, record=completed(lease, stored, record), lease=None)
            return finished.with_messages(messages)

        return self._change_leased(lease, change).record or record

    def set_focus(self, image_id: str, focus: Focus | None) -> Record:
        def change(state: _State) -> _State:
            if state.record is None:
                raise no_record(image_id)
            return replace(state, record=replace(state.record, focus=focus))

        state, _ = self._change(image_id, change)
        assert state.record is not None
        return state.record

    def delete(self, lease: Lease, messages: Sequence[OutboxMessage] = ()) -> None:
        self._change_leased(lease, lambda _, state: _State(outbox=state.outbox).with_messages(messages))

    def release(self, lease: Lease) -> None:
        try:
            self._change_leased(lease, lambda _, state: replace(state, lease=None))
        except LeaseLost:
            return

    def unsent(self, image_id: str) -> tuple[OutboxMessage, ...]:
        state, _ = self._read(image_id)
        return state.outbox

    def mark_sent(self, image_id: str, messages: Sequence[OutboxMessage]) -> None:
        state, version = self._read(image_id)
        if set(messages) & set(state.outbox):
            self._change(image_id, lambda state: _without(state, messages), (state, version))

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        return page_of(self.scan(), query, limit, cursor)

    def folders(self, prefix: str, *, limit: int) -> tuple[Folder, ...]:
        return folders_of((record.key for record in self.scan()), prefix, limit)

    def count(self, _query: Query) -> None:
        """None: it would read every record."""

    def scan(self, *, after: str = "") -> Iterator[Record]:
        return (state.record for _, state in self._scan(after) if state.record is not None)

    def scan_entries(self, *, after: str = "") -> Iterator[CatalogEntry]:
        return (CatalogEntry(id_, state.record, state.outbox) for id_, state in self._scan(after))

    def _scan(self, after: str = "") -> Iterator[tuple[str, _State]]:
        entries = self._store.list(PREFIX, start_after=_key(after) if after else "", direct=True)
        return self._read_all(entry.key[len(PREFIX) :].removesuffix(".json") for entry in entries)

    def _read_all(self, ids: Iterator[str]) -> Iterator[tuple[str, _State]]:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 5 ms of a cold start, never used by one

        with ThreadPoolExecutor(_READER_THREADS) as readers:
            # In batches, because `map` would consume the whole listing first.
            while batch := list(islice(ids, 8 * _READER_THREADS)):
                states = readers.map(self._read_if_allowed, batch)
                yield from ((id_, state) for id_, (state, _) in zip(batch, states, strict=True))

    def _read_if_allowed(self, id_: str) -> _Versioned:
        """As `_read`; an object that may not be read does not end a scan. Reconcile reports its original."""
        try:
            return self._read(id_)
        except Unreadable:
            return _NO_OBJECT

    def near(self, perceptual_hash: int, *, distance: int, limit: int) -> Neighbours:
        """Compares at most _MAX_COMPARED records, at one GET each."""
        records = list(islice(self.scan(), _MAX_COMPARED + 1))
        found = nearest_records(records[:_MAX_COMPARED], perceptual_hash, distance, limit)
        return Neighbours(found, len(records) <= _MAX_COMPARED)

    def reindex(self, *, limit: int | None = None) -> int:
        """Delete what version 0.1 left of deleted records: objects of two bytes."""
        entries = self._store.list(PREFIX, direct=True)
        removed = 0
        for entry in islice((entry for entry in entries if entry.size == _LEFT_OVER_BYTES), limit):
            with suppress(PreconditionFailed):
                self._store.delete(entry.key, condition=entry.version)
                removed += 1
        return removed

    def _read(self, id_: str) -> _Versioned:
        try:
            stored = self._store.get(_key(id_))
        except NotFound:
            return _NO_OBJECT
        return _decode(stored.body), stored.entry.version

    def _change(self, id_: str, change: _Change, assumed: _Versioned | None = None) -> _Versioned:
        """Replace the state by what ``change`` returns for it, if it is still the same when written.
        Returns the new state and its version. ``assumed`` saves the read of the first attempt.

        The condition compares versions, so it also holds if the same bytes come back meanwhile. Then
        ``change``, which sees only the state, would return the same again.
        """
        for _ in range(_MAX_ATTEMPTS):
            state, condition = assumed or self._read(id_)
            changed = change(state)
            try:
                return changed, self._write(id_, changed, condition)
            except PreconditionFailed:
                assumed = None
        raise Unavailable(f"record {id_} kept changing while it was written")

    def _write(self, id_: str, state: _State, condition: str | Absent) -> str | Absent:
        """Write a state, an empty one as no object. Returns its version."""
        if state != _State():
            return self._store.put(_key(id_), _encode(state), _ATTRIBUTES, condition=condition).version
        if not isinstance(condition, Absent):
            self._store.delete(_key(id_), condition=condition)
        return ABSENT

    def _change_leased(self, lease: Lease, change: Callable[[Record, _State], _State]) -> _State:
        """As `_change`, under a lease; ``change`` also gets the record. Raises LeaseLost if the lease is not
        current any more."""

        def change_if_leased(state: _State) -> _State:
            if state.record is None or state.lease is None or state.lease.token != lease.token:
                raise lease_lost(lease)
            return change(state.record, state)

        assumed = self._written.pop(lease.token, None)
        state, version = self._change(lease.image_id, change_if_leased, assumed)
        if state.lease is not None:
            self._written[lease.token] = (state, version)
        return state


def open_catalog(_location: str, processed: ObjectStore, **_options: Any) -> ObjectCatalog:
    """The catalog in the ``processed`` store. Location and options are not used."""
    return ObjectCatalog(processed)


def _key(id_: str) -> str:
    return f"{PREFIX}{id_}.json"


def _encode(state: _State) -> bytes:
    row = None if state.record is None else to_row(state.record)
    return msgspec.json.encode(_Document(row, state.lease, state.outbox))


def _decode(body: bytes) -> _State:
    """The state in an object. One that cannot be decoded counts as empty; the next write replaces it."""
    try:
        document = msgspec.json.decode(body, type=_Document)
        record = to_record(document.record) if document.record else None
    except (ValueError, KeyError):
        return _State()
    return _State(record, document.claim, document.outbox)


def _without(state: _State, messages: Sequence[OutboxMessage]) -> _State:
    return replace(state, outbox=tuple(item for item in state.outbox if item not in messages))
