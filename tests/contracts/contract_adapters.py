"""The adapters that run the contract suites. Every scheme of the registries must be here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import contract_aws
import denied

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.storage.directory import DirectoryStore
from support.memory_catalog import MemoryCatalog
from support.memory_store import MemoryStore

ConnectStore = Callable[[], ObjectStore]
Deny = Callable[[Any, str], AbstractContextManager[object]]
ConnectCatalog = Callable[[], AbstractContextManager[Catalog]]


@dataclass(frozen=True)
class StoreAdapter:
    """An adapter under test. ``scheme`` is its row in storage.ADAPTERS.

    ``fresh`` creates an empty backend and yields a function that connects to it. With
    ``across_processes`` that function can be pickled and called in another process. ``deny`` makes one object
    unreadable for as long as the context lasts.
    """

    name: str
    scheme: str
    fresh: Callable[[], AbstractContextManager[ConnectStore]]
    across_processes: bool = True
    deny: Deny = denied.in_memory


@dataclass(frozen=True)
class CatalogAdapter:
    """As StoreAdapter. ``scheme`` is the row in catalog.ADAPTERS; a connection is a context manager."""

    name: str
    scheme: str
    fresh: Callable[[], AbstractContextManager[ConnectCatalog]]
    across_processes: bool = True


@contextmanager
def _directory() -> Iterator[ConnectStore]:
    with tempfile.TemporaryDirectory() as folder:
        yield partial(DirectoryStore, Path(folder))


@contextmanager
def _memory(*, etags: bool = False) -> Iterator[ConnectStore]:
    store = MemoryStore(etags=etags)
    yield lambda: store


def open_sqlite(path: Path) -> AbstractContextManager[SqliteCatalog]:
    return closing(SqliteCatalog(path))


@contextmanager
def _sqlite_file() -> Iterator[ConnectCatalog]:
    with tempfile.TemporaryDirectory() as folder:
        yield partial(open_sqlite, Path(folder, "catalog.sqlite"))


@contextmanager
def _sqlite_memory() -> Iterator[ConnectCatalog]:
    with closing(SqliteCatalog(":memory:")) as catalog:

        @contextmanager
        def connect() -> Iterator[Catalog]:
            yield catalog

        yield connect


@contextmanager
def _catalog_in_memory() -> Iterator[ConnectCatalog]:
    catalog = MemoryCatalog()
    yield lambda: nullcontext(catalog)


STORES = (
    StoreAdapter("directory", "file", _directory, deny=denied.in_a_directory),
    # The fakes that other tests use must behave like the real stores.
    StoreAdapter("memory", "memory", _memory, across_processes=False),
    StoreAdapter("memory-etags", "memory", partial(_memory, etags=True), across_processes=False),
    StoreAdapter("s3", "s3", contract_aws.s3, deny=denied.in_s3),
)
CATALOGS = (
    CatalogAdapter("sqlite", "sqlite", _sqlite_file),
    CatalogAdapter("sqlite-in-memory", "sqlite", _sqlite_memory, across_processes=False),
    CatalogAdapter("memory", "memory", _catalog_in_memory, across_processes=False),
    CatalogAdapter("dynamodb", "dynamodb", contract_aws.dynamodb),
    CatalogAdapter("objects-in-memory", "objects", contract_aws.objects_in_memory, across_processes=False),
    CatalogAdapter("objects-in-directory", "objects", contract_aws.objects_in_directory),
    CatalogAdapter("objects-in-s3", "objects", contract_aws.objects_in_s3),
)
