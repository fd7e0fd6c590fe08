"""Opens the library of one machine: its data directory, stores and catalog, in directories or in buckets.

`open_stores` is enough for commands that read a library; `open_library` is for a server, which locks it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import ObjectStore, Stores
from image_processor.standalone.bucket_mark import BucketMark, catalog_id
from image_processor.standalone.data_dir_lock import WRITABLE_DIRECTORY, DataDirLock
from image_processor.standalone.disk_space import DiskSpace
from image_processor.standalone.space_aware_store import SpaceAwareStore
from image_processor.standalone.submitted_versions import SubmittedVersions
from image_processor.storage import store_from_url

_ONE_SERVER = (
    ": only one can use a data directory. It uses all cores by itself "
    f"({PREFIX}WORKERS, {PREFIX}SERVER_PROCESSES). Several servers share two buckets and a DynamoDB table, "
    'each with a data directory of its own: "Several servers" in docs/production.md'
)
"""What `serve` says where another server runs."""

SERVER_OWNER = "serve:"
"""Prefix of the owner of a server's leases. A server that holds the data directory's lock releases them at
start: their owner can only be a server that has died."""


def catalog_file(settings: Settings) -> Path:
    """The path of the catalog."""
    return settings.data / "catalog.sqlite"


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The library of one machine, created if missing: the directories and the catalog under
    ``settings.data``, or two buckets, with the catalog there or in a table.

    Raises Unavailable, InvalidSettings, MissingExtra.
    """
    if settings.uses_buckets:
        from .buckets import open_bucket_stores  # noqa: PLC0415 - most machines have directories

        with open_bucket_stores(settings, catalog_file(settings)) as stores:
            yield stores
        return
    uploads, processed = settings.data / "uploads", settings.data / "processed"
    make_folders(settings, uploads, processed)
    with closing(SqliteCatalog(catalog_file(settings))) as catalog:
        yield Stores(store_from_url(f"file://{uploads}"), store_from_url(f"file://{processed}"), catalog)


def make_folders(settings: Settings, *folders: Path) -> None:
    """Create the data directory and ``folders`` in it. Raises Unavailable."""
    try:
        for folder in (settings.data, *folders):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot create the data directory {settings.data}: {error.strerror}; {WRITABLE_DIRECTORY}"
        raise Unavailable(message) from error


class Library(Struct, frozen=True):
    """The originals and renditions of a server, opened."""

    opened: Stores
    """The stores without checks of free space."""
    stores: Stores
    """The stores with checks of free space."""
    cached: ObjectStore
    """Where renditions are stored that only URLs ask for."""
    catalog: SqliteCatalog | None
    """The catalog, if it is a file."""
    disk: DiskSpace
    submitted: SubmittedVersions
    """The uploads that requests have submitted."""
    trouble: Callable[[], str | None]
    """Returns what is wrong with any of it; None if all is well."""


@contextmanager
def open_library(settings: Settings) -> Iterator[Library]:
    """The library of a server, locked. Raises Unavailable if another server uses the same data directory, or
    one with another catalog the same buckets; InvalidSettings for an S3 service that would lose uploads."""
    with ExitStack() as stack:
        # The lock comes first: `restore` replaces the catalog while it holds the lock.
        lock = stack.enter_context(DataDirLock(settings.data, _ONE_SERVER))
        opened = stack.enter_context(open_stores(settings))
        _check_buckets(settings, opened)
        mark_trouble = stack.enter_context(_open_bucket_mark(settings, opened))
        catalog = _own_catalog(opened)
        disk = DiskSpace(_folders(settings), settings.min_free_bytes)
        submitted = SubmittedVersions()
        stores, cached = _space_aware(settings, opened, disk, submitted)

        def trouble() -> str | None:
            return lock.trouble() or (catalog.damage if catalog else None) or mark_trouble()

        yield Library(opened, stores, cached, catalog, disk, submitted, trouble)


def _check_buckets(settings: Settings, stores: Stores) -> None:
    """Raises InvalidSettings for an S3 service that would lose uploads."""
    if settings.uses_buckets:
        from .buckets import check_conditions  # noqa: PLC0415 - most machines have directories

        check_conditions(settings, stores)


def _own_catalog(stores: Stores) -> SqliteCatalog | None:
    """The catalog if it is a file. Only this server uses it, so it releases the leases of earlier ones."""
    if not isinstance(stores.catalog, SqliteCatalog):
        return None
    stores.catalog.release_owner(SERVER_OWNER)
    return stores.catalog


def _space_aware(
    settings: Settings, stores: Stores, disk: DiskSpace, submitted: SubmittedVersions
) -> tuple[Stores, ObjectStore]:
    """The stores, and the store of renditions that only URLs ask for: on this machine's disk, originals and
    those renditions must not take the space that the renditions of accepted uploads need."""
    if settings.uses_buckets:
        return stores, stores.processed
    uploads = SpaceAwareStore(stores.uploads, disk, keeps_reserve=True, on_write=submitted.expect)
    return replace(stores, uploads=uploads), SpaceAwareStore(stores.processed, disk, keeps_reserve=True)


def _folders(settings: Settings) -> tuple[Path, ...]:
    """Where the server writes."""
    if settings.uses_buckets:
        return (settings.data,)
    return settings.data, settings.data / "uploads", settings.data / "processed"


@contextmanager
def _open_bucket_mark(settings: Settings, stores: Stores) -> Iterator[Callable[[], str | None]]:
    """Mark buckets as those of this server's catalog. Yields what reports a server with another one.

    Raises Unavailable if there is one.
    """
    if not settings.uses_buckets:
        yield lambda: None
        return
    is_shared = settings.table is not None
    mark = BucketMark(stores.processed, catalog_name(settings), server_name(), is_shared=is_shared)
    mark.start()
    try:
        yield mark.trouble
    finally:
        mark.stop()


def catalog_name(settings: Settings) -> str:
    """What distinguishes the catalog from those of other servers. Raises Unavailable."""
    return f"table {settings.table}" if settings.table is not None else catalog_id(settings.data)


def server_name() -> str:
    """What distinguishes this process from those of other servers."""
    return f"{socket.gethostname()}:{os.getpid()}-{secrets.token_hex(4)}"
