"""The adapters that must pass the contract suites. A new one joins by one line in its table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import contract_aws

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.storage.directory import DirectoryStore
from support.memory_catalog import MemoryCatalog
from support.memory_store import MemoryStore

ConnectStore = Callable[[], ObjectStore]
ConnectCatalog = Callable[[], AbstractContextManager[Catalog]]


@dataclass(frozen=True)
class StoreAdapter:
    """``fresh`` gives an empty backend for a while, as a function that connects to it.

    Where ``across_processes`` holds, that function can be pickled and called elsewhere.
    """

    name: str
    fresh: Callable[[], AbstractContextManager[ConnectStore]]
    across_processes: bool = True


@dataclass(frozen=True)
class CatalogAdapter:
    """As StoreAdapter; a connection is closed by leaving its context."""

    name: str
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
    StoreAdapter("directory", _directory),
    # The fakes of tests/ingest and tests/simulation: they must be as honest as what they stand for.
    StoreAdapter("memory", _memory, across_processes=False),
    StoreAdapter("memory-etags", partial(_memory, etags=True), across_processes=False),
    StoreAdapter("s3", contract_aws.s3),
)
CATALOGS = (
    CatalogAdapter("sqlite", _sqlite_file),
    CatalogAdapter("sqlite-in-memory", _sqlite_memory, across_processes=False),
    CatalogAdapter("memory", _catalog_in_memory, across_processes=False),
    CatalogAdapter("dynamodb", contract_aws.dynamodb),
    CatalogAdapter("objects-in-memory", contract_aws.objects_in_memory, across_processes=False),
    CatalogAdapter("objects-in-directory", contract_aws.objects_in_directory),
    CatalogAdapter("objects-in-s3", contract_aws.objects_in_s3),
)
