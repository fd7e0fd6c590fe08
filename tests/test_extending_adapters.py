"""docs/extending.md, kept true for adapters: a file of its own and one row in a registry.

tests/support/memory_store.py and memory_catalog.py are the smallest adapters. With a row each, URLs
open them and they pass the contract suites.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import test_catalog
import test_catalog_listing
import test_store
from contract_adapters import ConnectStore, StoreAdapter

from image_processor import catalog as catalogs
from image_processor import storage
from image_processor.bootstrap.aws import bucket_names, open_aws_stores
from image_processor.catalog import catalog_from_url
from image_processor.config.settings import from_environment
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.storage import store_from_url


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(storage.ADAPTERS, "memory", "support.memory_store:open_store")
    monkeypatch.setitem(catalogs.ADAPTERS, "memory", "support.memory_catalog:open_catalog")


def test_settings_select_an_adapter_by_its_url() -> None:
    settings = from_environment(
        {
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": "memory://uploads",
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": "memory://processed",
            "IMAGE_PROCESSOR_TABLE": "memory://records",
        }
    )
    stores = open_aws_stores(settings)
    assert stores.uploads is store_from_url("memory://uploads")
    assert stores.processed is store_from_url("memory://processed")
    assert stores.catalog is catalog_from_url("memory://records", stores.processed)
    assert bucket_names(settings) == ("uploads", "processed")


@contextmanager
def connected_by_url() -> Iterator[ConnectStore]:
    url = f"memory://{uuid4().hex}"
    yield lambda: store_from_url(url)


class StoreFromUrl:
    @pytest.fixture
    def store_adapter(self) -> StoreAdapter:
        return StoreAdapter("memory", "memory", connected_by_url, across_processes=False)

    @pytest.fixture
    def connect_store(self, store_adapter: StoreAdapter) -> Iterator[ConnectStore]:
        with store_adapter.fresh() as connect:
            yield connect

    @pytest.fixture
    def store(self, connect_store: ConnectStore) -> ObjectStore:
        return connect_store()


class TestObjects(StoreFromUrl, test_store.TestObjects):
    pass


class TestReading(StoreFromUrl, test_store.TestReading):
    pass


class TestConditions(StoreFromUrl, test_store.TestConditions):
    pass


class TestStreams(StoreFromUrl, test_store.TestStreams):
    pass


class CatalogFromUrl:
    @pytest.fixture
    def catalog(self) -> Catalog:
        return catalog_from_url(f"memory://{uuid4().hex}", store_from_url("memory://processed"))


class TestAcquire(CatalogFromUrl, test_catalog.TestAcquire):
    pass


class TestRelease(CatalogFromUrl, test_catalog.TestRelease):
    pass


class TestLostLease(CatalogFromUrl, test_catalog.TestLostLease):
    pass


class TestScan(CatalogFromUrl, test_catalog_listing.TestScan):
    pass
