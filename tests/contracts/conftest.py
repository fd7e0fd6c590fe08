"""Fixtures that give each contract test a fresh backend of each adapter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contract_adapters import (
    CATALOGS,
    STORES,
    CatalogAdapter,
    ConnectCatalog,
    ConnectStore,
    StoreAdapter,
)

from image_processor.domain.ports import Catalog, ObjectStore

SHARED_STORES = [adapter for adapter in STORES if adapter.across_processes]
SHARED_CATALOGS = [adapter for adapter in CATALOGS if adapter.across_processes]


@pytest.fixture(params=STORES, ids=lambda adapter: adapter.name, scope="session")
def store_adapter(request: pytest.FixtureRequest) -> StoreAdapter:
    adapter: StoreAdapter = request.param
    return adapter


@pytest.fixture
def connect_store(store_adapter: StoreAdapter) -> Iterator[ConnectStore]:
    with store_adapter.fresh() as connect:
        yield connect


@pytest.fixture
def store(connect_store: ConnectStore) -> ObjectStore:
    return connect_store()


@pytest.fixture(params=SHARED_STORES, ids=lambda adapter: adapter.name)
def connect_shared_store(request: pytest.FixtureRequest) -> Iterator[ConnectStore]:
    """As connect_store, for adapters that several processes can share."""
    with request.param.fresh() as connect:
        yield connect


@pytest.fixture(params=CATALOGS, ids=lambda adapter: adapter.name, scope="session")
def catalog_adapter(request: pytest.FixtureRequest) -> CatalogAdapter:
    adapter: CatalogAdapter = request.param
    return adapter


@pytest.fixture
def connect_catalog(catalog_adapter: CatalogAdapter) -> Iterator[ConnectCatalog]:
    with catalog_adapter.fresh() as connect:
        yield connect


@pytest.fixture
def catalog(connect_catalog: ConnectCatalog) -> Iterator[Catalog]:
    with connect_catalog() as catalog:
        yield catalog


@pytest.fixture(params=SHARED_CATALOGS, ids=lambda adapter: adapter.name)
def connect_shared_catalog(request: pytest.FixtureRequest) -> Iterator[ConnectCatalog]:
    """As connect_catalog, for adapters that several processes can share."""
    with request.param.fresh() as connect:
        yield connect
