"""Adapter: the catalog as small JSON objects in the processed store, where there is no table.

One object per original holds its record and the claim on it; each change is one conditional
write of that object. docs/adr/0008 says what this costs and what must be kept from the public.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from heapq import nlargest
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import (
    Invalid,
    LeaseBusy,
    LeaseLost,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, Record, Upload
from image_processor.domain.ports import ABSENT, Absent, Attributes, ObjectStore, Page, Query

from .rows import new_token, to_moment, to_record, to_row, to_ticks

PREFIX = ".image-processor/records/"
"""Where records lie in the processed store.

A record is named ID.json, which is no rendition's name: no rendition has its key, and no sweep
takes it. Whoever serves the processed store to the public must leave this prefix out, since
records name upload buckets and keys.
"""

_ATTRIBUTES = Attributes("application/json", "no-store")
_ROUNDS = 20
_READERS = 16


class _Held(Struct, frozen=True):
    """A claim as it lies beside its record."""

    token: str
    owner: str
    expires_at: datetime


class _State(Struct, frozen=True):
    """What an object says, or that there is none. ``record`` is None after it was forgotten."""

    record: Record | None = None
    held: _Held | None = None


_Seen = tuple[_State, str | Absent]
"""A state, and the condition on which it may be replaced."""

_NOTHING: _Seen = (_State(), ABSENT)

_Change = Callable[[_State], _State]
"""The state to write in place of the one found; raises what the port's method raises."""


class ObjectCatalog:
    """Catalog over any ObjectStore. Safe for threads and processes as far as the store is.

    A claim on a new key and what is done under a claim are one write; every other call but `list`
    and `scan` is one read and at most one write, or two. Those two read every
    record there is, 16 at a time: with S3 about a second per thousand, at its price for GETs.
    A library of more than a few thousand wants a table. A forgotten record leaves an object of
    two bytes, because the port has no conditional delete.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        # What the claims of this process have written, by their tokens.
        self._held: dict[str, _Seen] = {}

    def get(self, image_id: str) -> Record | None:
        return self._look(image_id)[0].record

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        id_ = image_id(upload.bucket, upload.key)
        new = Record(id=id_, bucket=upload.bucket, key=upload.key, created_at=now, updated_at=now)
        mine = _Held(new_token(), owner, now + duration)

        def take(state: _State) -> _State:
            # A claim whose answer was lost, and that is sent again, meets its own token.
            if state.held is not None and state.held.expires_at > now and state.held.token != mine.token:
                raise LeaseBusy(f"another worker holds the lease on {upload.key!r}")
            return _State(state.record or new, mine)

        # Most uploads are of keys that nobody has seen: guess that, and look only where it fails.
        state, version = self._change(id_, take, seen=_NOTHING)
        record, self._held[mine.token] = state.record or new, (state, version)
        return Lease(id_, mine.token, owner, mine.expires_at, record)

    def renew(self, lease: Lease, *, now: datetime, duration: timedelta) -> Lease:
        later = replace(lease, expires_at=now + duration)
        held = _Held(lease.token, lease.owner, later.expires_at)
        self._change_ours(lease, lambda record: _State(record, held))
        return later

    def complete(self, lease: Lease, record: Record) -> Record:
        if record.id != lease.image_id:
            raise Invalid.one("record", f"the record {lease.image_id} of the lease", record.id)
        completed = self._change_ours(lease, lambda stored: _State(_completed(lease, stored, record)))
        return completed.record or record

    def delete(self, lease: Lease) -> None:
        self._change_ours(lease, lambda _: _State())

    def release(self, lease: Lease) -> None:
        try:
            self._change_ours(lease, _State)
        except LeaseLost:
            return

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        from .paging import check_limit, read_cursor, write_cursor  # noqa: PLC0415 - no upload lists

        check_limit(limit)
        after = None if cursor is None else read_cursor(cursor)
        wanted = (record for record in self.scan() if _is_wanted(record, query, after))
        # One more than asked for tells whether there is a next page.
        records = nlargest(limit + 1, wanted, key=_position)
        return Page(
            tuple(records[:limit]), write_cursor(records[limit - 1]) if len(records) > limit else None
        )

    def scan(self) -> Iterator[Record]:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - no upload needs it, and it costs 5 ms

        ids = (
            entry.key[len(PREFIX) :].removesuffix(".json") for entry in self._store.list(PREFIX, direct=True)
        )
        with ThreadPoolExecutor(_READERS) as readers:
            # In batches, because map would take the whole listing at once.
            while batch := list(islice(ids, 8 * _READERS)):
                yield from filter(None, readers.map(self.get, batch))

    def _look(self, id_: str) -> _Seen:
        try:
            found = self._store.get(_key(id_))
        except NotFound:
            return _NOTHING
        return _parse(found.body), found.entry.version

    def _change(self, id_: str, change: _Change, seen: _Seen | None = None) -> tuple[_State, str]:
        """Write what ``change`` makes of the state, on the condition that it is still the same.
        Returns the new state and its version. With ``seen``, what the state is believed to be, the
        first try needs no look.

        The condition compares versions, so it holds again when a state comes back byte by byte;
        then ``change``, which sees nothing but the state, would decide the same again, too.
        """
        for _ in range(_ROUNDS):
            state, condition = seen or self._look(id_)
            changed = change(state)
            try:
                entry = self._store.put(_key(id_), _written(changed), _ATTRIBUTES, condition=condition)
            except PreconditionFailed:
                seen = None
                continue
            return changed, entry.version
        raise Unavailable(f"record {id_} kept changing while it was written")

    def _change_ours(self, lease: Lease, change: Callable[[Record], _State]) -> _State:
        def checked(state: _State) -> _State:
            if state.record is None or state.held is None or state.held.token != lease.token:
                raise LeaseLost(f"{lease.owner} no longer holds the lease on {lease.record.key!r}")
            return change(state.record)

        state, version = self._change(lease.image_id, checked, seen=self._held.pop(lease.token, None))
        if state.held is not None:
            self._held[lease.token] = (state, version)
        return state


def _completed(lease: Lease, stored: Record, record: Record) -> Record:
    if stored.sequencer is not None and record.sequencer is not None and stored.sequencer > record.sequencer:
        raise LeaseLost(f"{lease.owner} worked on an older event of {lease.record.key!r} than the record's")
    return replace(
        record,
        bucket=stored.bucket,
        key=stored.key,
        created_at=stored.created_at,
        sequencer=stored.sequencer if record.sequencer is None else record.sequencer,
        revision=stored.revision + 1,
    )


def _is_wanted(record: Record, query: Query, after: tuple[int, str] | None) -> bool:
    return (
        record.key.startswith(query.prefix)
        and query.status in {None, record.status}
        and (query.since is None or record.created_at >= query.since)
        and (query.until is None or record.created_at < query.until)
        and (after is None or _position(record) < after)
    )


def _position(record: Record) -> tuple[int, str]:
    return to_ticks(record.created_at), record.id


def _key(id_: str) -> str:
    return f"{PREFIX}{id_}.json"


def _written(state: _State) -> bytes:
    fields: dict[str, Any] = {}
    if state.record is not None:
        fields["record"] = to_row(state.record)
    if state.held is not None:
        fields["claim"] = {
            "token": state.held.token,
            "owner": state.held.owner,
            "expires_at": to_ticks(state.held.expires_at),
        }
    return json.dumps(fields, separators=(",", ":")).encode()


def _parse(body: bytes) -> _State:
    fields = json.loads(body)
    record, lease = fields.get("record"), fields.get("claim")
    return _State(
        to_record(record) if record else None,
        _Held(lease["token"], lease["owner"], to_moment(lease["expires_at"])) if lease else None,
    )
