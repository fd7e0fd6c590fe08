"""The registries of adapters: URLs open them, and each one runs the contract suites."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from contract_adapters import CATALOGS, STORES
from contract_keys import PLAIN
from contract_records import acquire

from image_processor import catalog as catalogs
from image_processor import storage
from image_processor.catalog import catalog_from_url
from image_processor.domain.errors import Invalid
from image_processor.storage import store_from_url
from support import aws
from support.memory_store import MemoryStore


def test_every_registered_store_runs_the_contract_suite() -> None:
    assert set(storage.ADAPTERS) <= {adapter.scheme for adapter in STORES}


def test_every_registered_catalog_runs_the_contract_suite() -> None:
    assert set(catalogs.ADAPTERS) <= {adapter.scheme for adapter in CATALOGS}


def test_a_file_url_opens_a_directory(tmp_path: Path) -> None:
    store_from_url(f"file://{tmp_path}/new%20folder").put("key", b"body", PLAIN)
    assert (tmp_path / "new%20folder" / "key").read_bytes() == b"body"


def test_an_s3_url_opens_a_bucket_with_the_given_options() -> None:
    url = f"s3://{aws.make_bucket(aws.address())}"
    options = {"endpoint": aws.address(), "region": aws.REGION, "credentials": aws.credentials}
    entry = store_from_url(url, **options).put("key", b"body", PLAIN)
    assert store_from_url(url, **options).head("key").entry == entry


def test_an_sqlite_url_opens_a_file_or_memory(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/catalog.sqlite"
    with closing(catalog_from_url(url, MemoryStore())) as catalog:
        record = acquire(catalog).record
    with closing(catalog_from_url(url, MemoryStore())) as catalog:
        assert catalog.get(record.id) == record
    with closing(catalog_from_url("sqlite://:memory:", MemoryStore())) as catalog:
        assert catalog.get(record.id) is None


def test_an_objects_url_opens_the_processed_store() -> None:
    processed = MemoryStore()
    record = acquire(catalog_from_url("objects://", processed)).record
    assert catalog_from_url("objects://", processed).get(record.id) == record


def test_a_dynamodb_url_opens_a_table_with_the_given_options() -> None:
    url = f"dynamodb://{aws.make_table(aws.address())}"
    options = {"endpoint": aws.address(), "region": aws.REGION, "credentials": aws.credentials}
    with closing(catalog_from_url(url, MemoryStore(), **options)) as catalog:
        record = acquire(catalog).record
        assert catalog.get(record.id) == record


@pytest.mark.parametrize("url", ["", "ftp://host", "s3", "s3:bucket", "/data"])
def test_an_unknown_scheme_is_invalid_and_names_the_known_ones(url: str) -> None:
    with pytest.raises(Invalid, match="expected a URL that starts with one of file://, s3://"):
        store_from_url(url)
    with pytest.raises(Invalid, match="one of dynamodb://, objects://, sqlite://"):
        catalog_from_url(url, MemoryStore())


def test_only_the_adapter_that_is_used_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from image_processor.storage import store_from_url; store_from_url(sys.argv[1]);"
        "import image_processor.catalog; print(*sorted(sys.modules))"
    )
    command = [sys.executable, "-c", program, f"file://{tmp_path}"]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "image_processor.storage.directory" in loaded
    assert not {"image_processor.storage.s3", "image_processor.catalog.sqlite", "obstore"} & set(loaded)
