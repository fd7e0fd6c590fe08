"""Marks two buckets as those of one catalog, so that servers with catalogs of their own do not share them.

Without a mark, two servers with a catalog file each would both process every upload, and each would delete
renditions that only the other one has recorded. A small object in the processed bucket names the catalog for
as long as a server works with it. Servers over one table share a catalog, and write the same name.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError, NotFound, PreconditionFailed, Unavailable
from image_processor.domain.ports import ABSENT, Absent, Attributes, ObjectStore

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
    ``until`` when it ends, in seconds since 1970."""

    catalog: str
    server: str
    until: float


def read_mark(store: ObjectStore) -> tuple[Mark | None, str | Absent]:
    """The mark, None without one that can be read; and the condition under which it may be replaced."""
    try:
        found = store.get(KEY, limit=10_000)
    except NotFound:
        return None, ABSENT
    try:
        return msgspec.json.decode(found.body, type=Mark), found.entry.version
    except msgspec.DecodeError:
        return None, found.entry.version


def catalog_id(data: Path) -> str:
    """The name of the catalog in a data directory, made at its first use. Raises Unavailable."""
    file = data / ID_FILE
    try:
        if not (file.exists() and file.read_text()):
            file.write_text(secrets.token_hex(16))
        return file.read_text()
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}") from error


class BucketMark:
    """Keeps the mark of ``catalog`` from `start` to `stop`, as the process ``server``.

    Several processes have a catalog that ``is_shared``.
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
            seconds = max(1, round(taken.until - self._clock()))
            raise Unavailable(f"{_other(taken)}: {_FIX}. If it was killed, its mark ends in {seconds} s")
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        if self._is_shared:
            return
        try:
            mark, version = read_mark(self._store)
            if mark is not None and mark.server == self._server and isinstance(version, str):
                self._store.delete(KEY, condition=version)
        except ImageProcessorError as error:
            _log.warning("the mark of the buckets ends in %g s: %s", LEASE_SECONDS, error)

    def trouble(self) -> str | None:
        """Which other server works in the buckets; None if none does."""
        return self._trouble

    def renew(self) -> None:
        """Extend the mark. Raises Unavailable."""
        taken = self._take(is_start=False)
        trouble = None if taken is None else f"{_other(taken)}: {_FIX}"
        if trouble is not None:
            _log.error("%s", trouble)
        elif self._trouble is not None:
            _log.info("no other server works in the buckets any more")
        self._trouble = trouble

    def _take(self, *, is_start: bool) -> Mark | None:
        """Write the mark, unless another server's is in force, which is returned."""
        for _ in range(_TRIES):
            mark, condition = read_mark(self._store)
            now = self._clock()
            if mark is not None and mark.until > now:
                if self._is_foreign(mark, is_start=is_start):
                    return mark
                if mark.server != self._server and self._is_shared and mark.until - now > LEASE_SECONDS / 2:
                    return None  # another server over this table has renewed it
            own = Mark(self._catalog, self._server, now + LEASE_SECONDS)
            try:
                self._store.put(KEY, msgspec.json.encode(own), _ATTRIBUTES, condition=condition)
            except PreconditionFailed:
                continue
            return None
        raise Unavailable("other servers write the mark of the buckets at the same time")

    def _is_foreign(self, mark: Mark, *, is_start: bool) -> bool:
        if mark.catalog != self._catalog:
            return True
        # At the start, an earlier process of this data directory, which has ended: it is locked. Later, one
        # that has a copy of the directory.
        return not (self._is_shared or is_start or mark.server == self._server)


def _other(mark: Mark) -> str:
    return f"the server {mark.server} works in these buckets with another catalog ({mark.catalog})"
