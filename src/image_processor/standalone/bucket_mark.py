"""Marks two buckets as those of one catalog, so that servers with catalogs of their own do not share them.

Without a mark, two servers with a catalog file each would both process every upload, and each would delete
renditions that only the other one has recorded. A small object in the processed bucket names the catalog for
as long as a server works with it. Servers over one table share a catalog, and write the same name.

When a mark ends, the store's clock alone decides: that of a server may be wrong. The time at the store is
that of an object which has just been written there.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError, NotFound, PreconditionFailed, Unavailable
from image_processor.domain.ports import ABSENT, Absent, Attributes, ObjectStore
from image_processor.domain.redaction import printable

from .periodic import Periodic

KEY = ".image-processor/catalog.json"
"""No rendition has such a key, so reconciliation does not delete it."""

ID_FILE = "catalog.id"

LEASE_SECONDS = 180.0
"""How long a mark holds after its server was killed."""

RENEW_SECONDS = 60.0

_ATTRIBUTES = Attributes("application/json", "no-store")
_TRIES = 5
_FIX = (
    "servers with a catalog file each must not share buckets. Set IMAGE_PROCESSOR_TABLE for all of them "
    '("Several servers" in docs/production.md), or stop the other one'
)
_log = logging.getLogger(__name__)


class Mark(Struct, frozen=True):
    """The object. ``catalog`` is the catalog's name, ``server`` that of the process which has written it,
    ``until`` when it ends by that one's clock, in seconds since 1970, for servers of earlier versions."""

    catalog: str
    server: str
    until: float


class StoredMark(Struct, frozen=True):
    """What is stored: the mark, if it can be read; when it was written, by the store's clock; and the
    condition under which it may be replaced."""

    mark: Mark | None
    written: datetime | None
    condition: str | Absent


def read_mark(store: ObjectStore) -> StoredMark:
    try:
        found = store.get(KEY, limit=10_000)
    except NotFound:
        return StoredMark(None, None, ABSENT)
    entry = found.entry
    try:
        return StoredMark(msgspec.json.decode(found.body, type=Mark), entry.modified, entry.version)
    except msgspec.DecodeError:
        return StoredMark(None, entry.modified, entry.version)


def store_time(store: ObjectStore) -> datetime:
    """The time by the clock of ``store``: that of an object which is written and deleted again."""
    # A name of its own: another server that starts now deletes only what it has written.
    key = f".image-processor/time-{secrets.token_hex(8)}.json"
    store.put(key, b"{}", _ATTRIBUTES)
    try:
        return store.head(key).entry.modified
    finally:
        with suppress(ImageProcessorError):
            store.delete(key)


def describe_mark(stored: StoredMark, catalog: str | None, now: datetime) -> str:
    """What people need to know of a mark if their catalog has the name ``catalog``, None for a stack without
    one. ``now`` is this machine's clock: where it is wrong by LEASE_SECONDS, a mark in force is described as
    an old one. No server decides by this."""
    mark, written = stored.mark, stored.written
    if mark is None or written is None:
        return "none"
    text = f"of the server {printable(mark.server)}, written at {written:%Y-%m-%d %H:%M:%S} UTC"
    if (now - written).total_seconds() > LEASE_SECONDS:
        return f"none in force; the last one is {text}"
    return (
        text
        if mark.catalog == catalog
        else f"{text}, with another catalog ({printable(mark.catalog)}): {_FIX}"
    )


def catalog_id(data: Path) -> str:
    """The name of the catalog in a data directory, made at its first use. Raises Unavailable."""
    file = data / ID_FILE
    try:
        if not (file.exists() and file.read_text()):
            file.write_text(secrets.token_hex(16))
        return file.read_text()
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}") from error


class _Taken(Struct, frozen=True):
    """The mark of another server, and how long it is still in force."""

    mark: Mark
    seconds_left: float


class BucketMark:
    """Keeps the mark of ``catalog`` from `start` to `stop`, as the process ``server``.

    Several processes have a catalog that ``is_shared``. ``clock`` is for servers of earlier versions.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: str,
        server: str,
        *,
        is_shared: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._server = server
        self._is_shared = is_shared
        self._clock = clock
        self._trouble: str | None = None
        self._thread = Periodic("the mark of the buckets", RENEW_SECONDS, self.renew)

    def start(self) -> None:
        """Raises Unavailable if a server with another catalog works in the buckets. A store that does not
        answer is asked again later: the server may start before its storage."""
        try:
            taken = self._take(is_start=True)
        except ImageProcessorError as error:
            _log.warning("the buckets are not marked as those of this server's catalog: %s", error)
            taken = None
        if taken is not None:
            ends = f"its mark ends in {max(1, round(taken.seconds_left))} s"
            raise Unavailable(f"{_other(taken.mark)}: {_FIX}. If it was killed, {ends}")
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        if self._is_shared:
            return
        try:
            stored = read_mark(self._store)
            is_own = stored.mark is not None and stored.mark.server == self._server
            if is_own and isinstance(stored.condition, str):
                self._store.delete(KEY, condition=stored.condition)
        except ImageProcessorError as error:
            _log.warning("the mark of the buckets ends in %g s: %s", LEASE_SECONDS, error)

    def trouble(self) -> str | None:
        """Which other server works in the buckets; None if none does."""
        return self._trouble

    def renew(self) -> None:
        """Extend the mark. Raises Unavailable."""
        taken = self._take(is_start=False)
        trouble = None if taken is None else f"{_other(taken.mark)}: {_FIX}"
        if trouble is not None:
            _log.error("%s", trouble)
        elif self._trouble is not None:
            _log.info("no other server works in the buckets any more")
        self._trouble = trouble

    def _take(self, *, is_start: bool) -> _Taken | None:
        """Write the mark, unless another server's is in force, which is returned."""
        for _ in range(_TRIES):
            stored = read_mark(self._store)
            if stored.mark is not None and self._is_foreign(stored.mark, is_start=is_start):
                left = self._seconds_left(stored)
                if left > 0:
                    return _Taken(stored.mark, left)
            own = Mark(self._catalog, self._server, self._clock() + LEASE_SECONDS)
            try:
                self._store.put(KEY, msgspec.json.encode(own), _ATTRIBUTES, condition=stored.condition)
            except PreconditionFailed:
                continue
            return None
        raise Unavailable("other servers write the mark of the buckets at the same time")

    def _seconds_left(self, stored: StoredMark) -> float:
        assert stored.written is not None
        return LEASE_SECONDS - (store_time(self._store) - stored.written).total_seconds()

    def _is_foreign(self, mark: Mark, *, is_start: bool) -> bool:
        if mark.catalog != self._catalog:
            return True
        # At the start, an earlier process of this data directory, which has ended: it is locked. Later, one
        # that has a copy of the directory.
        return not (self._is_shared or is_start or mark.server == self._server)


def _other(mark: Mark) -> str:
    server, catalog = printable(mark.server), printable(mark.catalog)
    return f"the server {server} works in these buckets with another catalog ({catalog})"
