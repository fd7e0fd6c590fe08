"""The ports: protocols of the object store, the catalog and the renderer.

The adapters of the stores are in storage/ and catalog/; each passes the suite in tests/contracts. Any of
their methods may raise Unavailable (retryable) if the backend fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct, field

from .errors import Reason
from .models import (
    ExifField,
    Focus,
    IccPolicy,
    Lease,
    Limits,
    OutboxMessage,
    Record,
    Rendered,
    RenderedImage,
    Status,
    Upload,
)
from .transformation import Transformation


class Absent:
    """The type of ABSENT."""


ABSENT: Final = Absent()
"""A write condition: there is no object with this key."""


class Attributes(Struct, frozen=True):
    """What is stored with an object's bytes.

    ``media_type`` and ``cache_control`` are HTTP's Content-Type and Cache-Control. ``metadata`` holds
    short lower-case names with ASCII values (S3's user-defined metadata).
    """

    media_type: str = "application/octet-stream"
    cache_control: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class Entry(Struct, frozen=True):
    """One object in a listing.

    ``version`` is opaque; it changes when the object is written with other bytes. Equality ignores
    ``modified``, because S3 does not return it to a writer.
    """

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
    """An object's entry and attributes, and its bytes if they were requested."""

    entry: Entry
    attributes: Attributes
    body: bytes = b""


class OriginalFile:
    """The bytes of an original as an open file, which a renderer in another process reads by itself: so they
    are in memory once, and not in this process. ``check`` raises Unavailable if the file has changed since it
    was opened. ``key`` is that of the original. The descriptor is closed with the last reference to this
    object."""

    def __init__(self, descriptor: int, size: int, check: Callable[[], None], key: str) -> None:
        self.descriptor = descriptor
        self.check = check
        self.key = key
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __del__(self) -> None:
        os.close(self.descriptor)


class Original(Struct, frozen=True):
    """The entry of an original, and its bytes: in memory, or as an open file."""

    entry: Entry
    data: bytes | OriginalFile


class OpenOriginal(Protocol):
    """Opens an original on this machine as a file."""

    def __call__(self, key: str, *, limit: int, version: str | None) -> Original:
        """Raises as `ObjectStore.get`."""
        ...


class ObjectStore(Protocol):
    """Objects by key. Writes are atomic: a reader sees the old object or the new one, never a part.

    Every method checks keys with `keys.check_key` and raises InvalidKey before it does anything. For a
    key that leads out of the store (through a symbolic link in a directory) every method but `list`
    raises Refused(OUTSIDE_ROOT); `delete` removes such a link if it is the key's last segment. For an
    object that may not be read, while the store answers for others, `head`, `get` and `read` raise
    Unreadable; `list` may still show it. A store that denies everything is Unavailable.
    """

    def head(self, key: str) -> StoredObject:
        """The entry and attributes, without bytes. Raises NotFound."""
        ...

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        """The whole object.

        Raises NotFound; Refused(TOO_MANY_BYTES), without reading, if it has more than ``limit`` bytes;
        PreconditionFailed if ``version`` is given and not current.
        """
        ...

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` to before ``stop`` or the end, in chunks of at most 256 KiB.

        Raises as `get`, before the first chunk. If the object is overwritten meanwhile, the rest is the
        old bytes or a retryable error.
        """
        ...

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        """Write the whole object. ``condition`` is the version that must be current, or ABSENT.

        Raises PreconditionFailed, and writes nothing, if the condition is not met. Of several writers
        with the same condition exactly one succeeds.
        """
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
        """Write an object from ``chunks`` without holding all of them in memory.

        Raises Refused(TOO_MANY_BYTES) after ``limit`` bytes, and PreconditionFailed as `put`, checked
        after the last chunk. On any error, also one raised by ``chunks``, nothing is written.
        """
        ...

    def delete(self, key: str, *, condition: str | None = None) -> None:
        """Delete the object; no error if there is none. ``condition`` is the version that must be current.

        Raises PreconditionFailed, and deletes nothing, if the condition is not met.
        """
        ...

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        """The entries whose keys start with ``prefix`` and are greater than ``start_after``, ordered by
        their UTF-8 bytes. ``direct`` leaves out keys with another `/` after the prefix.

        An object that is created or deleted meanwhile may be listed or not. A link that leads out of
        the store is listed, so that its refusal can be recorded.
        """
        ...


@runtime_checkable
class OriginalFiles(Protocol):
    """What a store on this machine offers in addition to ObjectStore: originals as files."""

    @property
    def open_original(self) -> OpenOriginal: ...


@runtime_checkable
class CachedReads(Protocol):
    """What a store on this machine offers in addition to ObjectStore: reads that wait for no disk, for
    callers that must not block. They raise nothing; where they do not know, ObjectStore's methods do."""

    def supports_cached_reads(self, key: str) -> bool:
        """Whether the file system of an existing object says which bytes are in memory. Network file systems
        do not, and there even looking at a file may wait. Reads the object."""
        ...

    def head_cached(self, key: str) -> StoredObject | None:
        """The current entry and attributes; None if they are not cached or the object has changed."""
        ...

    def read_cached(self, stored: StoredObject, start: int, stop: int) -> bytes | bytearray | None:
        """The bytes of ``stored`` from ``start`` to before ``stop``; None if the object has changed or its
        bytes are not in memory."""
        ...


class Validators(Struct, frozen=True):
    """The version of the caller's copy, for a remote source: HTTP's ETag and Last-Modified, as received."""

    etag: str | None = None
    last_modified: str | None = None


class RemoteFile(Struct, frozen=True):
    """A file of a remote source. ``chunks`` are its bytes, and raise what `RemoteReader.open` raises.
    ``fresh_seconds`` is how long the source lets a copy be used without asking again; None if it does not
    say. ``chunks`` is None if the caller's copy is current."""

    chunks: Iterator[bytes] | None
    validators: Validators
    fresh_seconds: float | None = None


class RemoteReader(Protocol):
    """Reads files of other servers by URL."""

    def open(
        self, url: str, validators: Validators, *, limit: int
    ) -> AbstractContextManager[RemoteFile, bool | None]:
        """The file at ``url``, which is read inside the context.

        Raises NotFound, SourceFailed, SourceNotAllowed, and Refused(TOO_MANY_BYTES) for more than ``limit``
        bytes.
        """
        ...


class Sort(StrEnum):
    """The order of a listing. Records that have no size or saving come last."""

    NEWEST = "newest"
    """By created_at, the newest first."""
    NAME = "name"
    """By the UTF-8 bytes of the key."""
    SIZE = "size"
    """By the bytes of the original, the largest first."""
    SAVING = "saving"
    """By `Record.saving`, the largest first."""


class Query(Struct, frozen=True):
    """Selects the records of a listing, and their order. None and "" select all."""

    prefix: str = ""
    status: Status | None = None
    since: datetime | None = None
    """The first `created_at`."""
    until: datetime | None = None
    """The end of `created_at`, exclusive."""
    text: str = ""
    """A part of the key, compared without case."""
    format: str | None = None
    """That of the original."""
    min_bytes: int | None = None
    """The least bytes of the original."""
    max_bytes: int | None = None
    """The end of the original's bytes, exclusive."""
    sort: Sort = Sort.NEWEST


class Page(Struct, frozen=True):
    """Some records in the order of the query, and the cursor of the next page; None at the end."""

    records: tuple[Record, ...]
    cursor: str | None


class Folder(Struct, frozen=True):
    """A folder of keys: the first part of them up to a slash. ``prefix`` is that of its keys, with the slash;
    ``records`` counts them."""

    prefix: str
    records: int


class CatalogEntry(Struct, frozen=True):
    """What a catalog holds of one original: its record, and the messages in its outbox, the oldest first."""

    id: str
    record: Record | None
    unsent: tuple[OutboxMessage, ...] = ()


class RecordState(Struct, frozen=True):
    """What decides whether a record is current."""

    key: str
    status: Status
    version: str | None
    fingerprint: str | None
    reason: Reason | None
    renditions: Mapping[str, str]
    """The versions of its renditions by key."""
    format: str | None = None
    """That of its original; None if it is not known."""
    alpha: bool = False
    """Whether its original has alpha; False if that is not known."""
    has_focus: bool = False
    """Whether somebody has set its focus: then its plan is its own."""


class Neighbours(Struct, frozen=True):
    """Records whose perceptual hashes are near a given one, each with the number of bits in which they
    differ, the nearest first. Unless ``is_complete``, other records may be as near."""

    records: tuple[tuple[int, Record], ...]
    is_complete: bool = True


class Catalog(Protocol):
    """One record and at most one unexpired lease per original. Times are given by the caller's clock; an
    adapter may compare leases by the clock of what stores them.

    Each original also has an outbox: the messages that are written with the record and removed once they
    are sent. It outlives the record, and a message is in it once.
    """

    def get(self, image_id: str) -> Record | None:
        """The record; None if there is none."""
        ...

    def get_many(self, image_ids: Sequence[str]) -> dict[str, Record]:
        """The existing records among at most 100 ids, by id."""
        ...

    def acquire(self, upload: Upload, *, owner: str, now: datetime, duration: timedelta) -> Lease:
        """Lease the upload's key until ``now`` + ``duration``; a new key gets a PROCESSING record.

        Raises LeaseBusy if there is another lease that expires after ``now``. Of several callers exactly
        one succeeds.
        """
        ...

    def renew(
        self, lease: Lease, *, now: datetime, duration: timedelta, messages: Sequence[OutboxMessage] = ()
    ) -> Lease:
        """The same lease, extended until ``now`` + ``duration``; adds ``messages`` to the outbox in the same
        step.

        Raises LeaseLost, and adds nothing, if another worker acquired the key meanwhile. A lease that expired
        without that is renewed.
        """
        ...

    def complete(self, lease: Lease, record: Record, messages: Sequence[OutboxMessage] = ()) -> Record:
        """Write the record, add ``messages`` to the outbox and release the lease in one step.

        Returns the stored record: with the next revision, the stored created_at and focus, and the stored
        sequencer if ``record`` has none. Raises LeaseLost, and writes nothing, if the lease is lost or
        the stored record has a later sequencer than ``record``.
        """
        ...

    def set_focus(self, image_id: str, focus: Focus | None) -> Record:
        """Write the focus alone, or remove it, and return the record. Needs no lease: a worker that has one
        leaves it as it is. Raises NotFound if there is no record."""
        ...

    def delete(self, lease: Lease, messages: Sequence[OutboxMessage] = ()) -> None:
        """Delete the record and the lease, and add ``messages`` to the outbox, in one step. Raises LeaseLost
        if the lease is lost."""
        ...

    def unsent(self, image_id: str) -> tuple[OutboxMessage, ...]:
        """The messages in the outbox of one original, the oldest first."""
        ...

    def mark_sent(self, image_id: str, messages: Sequence[OutboxMessage]) -> None:
        """Remove ``messages`` from the outbox of one original. Needs no lease; no error for messages that
        are not in it."""
        ...

    def release(self, lease: Lease) -> None:
        """Release the lease and leave the record as it is. No error if the lease is lost.

        A PROCESSING record that `acquire` made stays.
        """
        ...

    def list(self, query: Query, *, limit: int, cursor: str | None = None) -> Page:
        """A page of at most ``limit`` (1-1000) records. Raises Invalid for a bad cursor, and for an order or
        a filter that the catalog has no index for.

        Pages are stable: records created or changed meanwhile neither repeat nor hide others. By size or
        saving a record that is processed again meanwhile may move from one page to another.
        """
        ...

    def folders(self, prefix: str, *, limit: int) -> tuple[Folder, ...]:
        """At most ``limit`` folders of the keys that start with ``prefix``, in the order of their names.

        Raises Invalid if the catalog has no index of keys.
        """
        ...

    def count(self, query: Query) -> int | None:
        """How many records a listing has; None if the catalog would have to read all of them."""
        ...

    def scan(self, *, after: str = "") -> Iterator[Record]:
        """Every record once, in an order that stays the same. A record changed during the scan comes in
        either state.

        ``after`` is the id of a record: only records that come after it. It need not exist any more.
        """
        ...

    def scan_entries(self, *, after: str = "") -> Iterator[CatalogEntry]:
        """As `scan`, with the outboxes too: every original that has a record, or messages in its outbox.

        It may yield other ids, without record and messages, which show how far it is.
        """
        ...

    def near(self, perceptual_hash: int, *, distance: int, limit: int) -> Neighbours:
        """The ``limit`` records that are nearest to a hash, within ``distance`` (0-64) bits; of equally near
        ones those with the smallest ids. A catalog may read only a part of many records, and says so."""
        ...

    def reindex(self, *, limit: int | None = None) -> int:
        """Rewrite what earlier versions stored in another form, at most ``limit`` records. Returns how many;
        0 if nothing is left.

        Every other method reads both forms; a record that is completed gets the current one anyway.
        """
        ...


class RoleLease(Struct, frozen=True):
    """Who has a role. ``version`` is another one after each renewal."""

    owner: str
    version: str


@runtime_checkable
class RoleLeases(Protocol):
    """What a catalog that several machines share offers in addition to Catalog: a role that one of them has
    at a time.

    Their clocks need not agree. A lease ends for a caller who has seen the same version of it for its
    duration, by a clock that nobody sets. ``now`` is only stored, for people and for earlier versions.
    """

    def hold(
        self, role: str, *, owner: str, now: datetime, duration: timedelta, ended: RoleLease | None = None
    ) -> RoleLease | None:
        """Lease the role for ``duration`` if nobody has it, if ``owner`` has it, or in place of the lease
        that has ``ended``. Returns the lease in force, of several callers that of exactly one. It is None if
        it was left meanwhile."""
        ...

    def leave(self, role: str, owner: str) -> None:
        """End the owner's lease. No error if it has none."""
        ...

    def holder(self, role: str, now: datetime) -> str | None:
        """Who has the role by a lease that has not ended at ``now``; None if nobody has. It compares clocks,
        for people."""
        ...


class KeyOrderedCatalog(Protocol):
    """A catalog that can also list its records in the order of their keys."""

    def scan_states(self, bucket: str) -> Iterator[RecordState]:
        """The state of every record of ``bucket`` once, ordered by the UTF-8 bytes of the keys. A record that
        is changed or deleted meanwhile comes in either state."""
        ...


class QueuedEvent(Struct, frozen=True):
    """An event that waits in an outbox of one machine, and what its sender knows about it.

    ``attempts`` have failed, the last one with ``error``. It is not sent before ``due_at``; without that time
    it is dead, which means that it is sent again only after a redrive.
    """

    message: OutboxMessage
    due_at: datetime | None
    attempts: int = 0
    error: str | None = None


class EventQueue(Protocol):
    """The events in the outboxes of one machine's catalog, as a queue that survives restarts."""

    def due(self, now: datetime, *, limit: int) -> Sequence[QueuedEvent]:
        """Events that are due, the longest due first."""
        ...

    def next_due(self) -> datetime | None:
        """When the next event is due; None if none waits."""
        ...

    def remove(self, message: OutboxMessage) -> None:
        """Remove an event that has been sent."""
        ...

    def postpone(self, message: OutboxMessage, due_at: datetime | None, error: str) -> None:
        """Count a failed attempt. ``due_at`` is when the next one is due; None if there is to be none."""
        ...

    def list(self, *, limit: int) -> Sequence[QueuedEvent]:
        """Events that are not sent yet, the oldest first, dead ones too."""
        ...

    def count(self) -> tuple[int, int]:
        """The number of events that wait to be sent, and of dead ones."""
        ...

    def redrive(self, now: datetime, id_: str | None = None) -> int:
        """Make the dead event ``id_``, or without it every dead one, due. Returns their number."""
        ...


class Stores(Struct, frozen=True):
    """The three backends of one library: the objects of both sides, and the catalog."""

    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog


class Renderer(Protocol):
    """Renders one original: `engine.render.render`, or one of its forms in an isolated process."""

    def __call__(  # noqa: PLR0913 - as the engine's own
        self,
        data: bytes | OriginalFile,
        transformations: Sequence[Transformation],
        limits: Limits,
        *,
        icc: IccPolicy,
        summary: bool = True,
        exif: Collection[ExifField] = (),
        overlay_sources: Mapping[str, bytes],
        on_rendition: Callable[[RenderedImage], None] = ...,
    ) -> Rendered:
        """Decode ``data`` once and render all ``transformations``, in their order.

        ``overlay_sources`` are the bytes of the overlay images by key. ``on_rendition`` gets each rendition
        as soon as it is encoded, in any order and on any thread. Without ``summary`` the visual
        summary is not computed. Raises Refused for input that cannot or may not be decoded,
        MissingExtra for an encoder that is not installed, and Unavailable.
        """
        ...
