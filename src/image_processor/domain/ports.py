"""The two ports: where objects lie and what is known of them. Adapters live in stores/ and
catalogs/; tests/contracts holds the suite that every adapter must pass.

Any method may raise Unavailable (retryable) when the adapter's backend cannot answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct, field

from .models import Lease, Record, Status, Upload


class Absent:
    """The type of ABSENT."""


ABSENT: Final = Absent()
"""A write condition: only if the key holds no object."""


class Attributes(Struct, frozen=True):
    """What is stored beside an object's bytes.

    ``media_type`` and ``cache_control`` are the HTTP headers of those names. ``metadata`` holds
    small lower-case names with ASCII values (S3's user metadata).
    """

    media_type: str = "application/octet-stream"
    cache_control: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Entry(Struct, frozen=True):
    """One object in a listing. ``version`` changes whenever the object is written anew with
    other bytes; it is opaque and comparable only for equality. ``modified`` is no part of that
    comparison: S3 does not tell a writer what it noted."""

    key: str
    size: int
    version: str
    modified: datetime

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, int, str]:
        return self.key, self.size, self.version


class StoredObject(Struct, frozen=True):
    """An object's entry with its attributes and, where asked for, its bytes."""

    entry: Entry
    attributes: Attributes
    body: bytes = b""


class ObjectStore(Protocol):
    """Objects by key. Writes are atomic: a reader sees the old object or the new, never a part.

    Keys are checked with keys.check_key: InvalidKey is raised before anything is touched. Where
    a key leads out of the store (a symbolic link in a directory) every method but `list` raises
    Refused(OUTSIDE_ROOT); only `delete` removes such a link, if it is the key's last segment.
    """

    def head(self, key: str) -> StoredObject:
        """The entry and attributes, without bytes. Raises NotFound."""
        ...

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        """The whole object. Raises NotFound; Refused(TOO_MANY_BYTES) when larger than ``limit``
        (nothing is read then); PreconditionFailed when ``version`` is given and is not current."""
        ...

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        """The bytes ``start`` up to, not including, ``stop`` (or the end, if that comes first) in
        chunks of at most 256 KiB. Raises as `get`, before the first chunk is asked for; an object
        that is overwritten meanwhile gives its old bytes or a retryable error."""
        ...

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        """Write the object whole. ``condition`` is a version that must be current, or ABSENT.
        Raises PreconditionFailed and writes nothing if it does not hold; of several writers
        with the same condition exactly one succeeds."""
        ...

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        *,
        limit: int,
        condition: str | Absent | None = None,
    ) -> Entry:
        """Write from chunks without holding them all. Raises Refused(TOO_MANY_BYTES) past ``limit``
        bytes; PreconditionFailed as `put`, judged when all chunks are there. If ``chunks`` raises,
        or the limit is passed, nothing is left behind."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        """Entries whose key starts with ``prefix``, ordered by UTF-8 bytes, keys greater than
        ``start_after`` only. ``direct`` leaves out keys with a further `/` after the prefix. An
        object that comes or goes meanwhile is there or not; that is no error. A link that leads
        out of the store is listed, so that its refusal can be recorded."""
        ...


class Query(Struct, frozen=True):
    """Which records a listing wants; None and "" mean any. Times compare with created_at,
    ``since`` inclusive, ``until`` exclusive."""

    prefix: str = ""
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None


class Page(Struct, frozen=True):
    """Some records, newest created first, and the cursor of the next page (None at the end)."""

    records: tuple[Record, ...]
    cursor: str | None


class Catalog(Protocol):
    """One record and at most one live claim per original. All times are the caller's clock."""

    def get(self, image_id: str) -> Record | None:
        """The record, None if there is none."""
        ...

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        """Take the right to work on the upload's key; makes a PROCESSING record for a new key.
        Raises LeaseBusy while another claim has not expired, which it has once ``now`` reaches its
        end. Of several callers one succeeds."""
        ...

    def renew(self, lease: Lease, *, now: datetime, duration: timedelta) -> Lease:
        """The same claim with a later end. Raises LeaseLost if it is no longer this one's, but
        not for having expired unnoticed: nobody else took it."""
        ...

    def complete(self, lease: Lease, record: Record) -> Record:
        """Write the record and give the claim up, in one step; returns it with the next revision,
        with the stored created_at, and with the stored sequencer where ``record`` has none.
        Raises LeaseLost if the claim is not this one's any more, or if the stored record has
        seen a later sequencer than ``record.sequencer``: nothing is written then."""
        ...

    def delete(self, lease: Lease) -> None:
        """Remove the record and the claim in one step. Raises LeaseLost as `complete`."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the claim up and leave the record as it was before it (a PROCESSING record that
        the claim itself made stays). No error if the claim is already lost."""
        ...

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        """A page of at most ``limit`` (1-1000) records. Pages are stable: a record created or
        changed meanwhile neither repeats nor hides another. Raises Invalid for a bad cursor."""
        ...

    def scan(self) -> Iterator[Record]:
        """Every record, in no stated order; records changed during the scan come once, in either
        state."""
        ...


class Stores(Struct, frozen=True):
    """The three backends of one library: the objects of both sides, and the catalog."""

    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
