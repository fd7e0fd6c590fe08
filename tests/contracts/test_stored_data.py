"""Data that version 0.1 stored stays readable. stored_0_1.json was written by that version."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from image_processor.catalog.dynamodb.schema import from_item, to_item
from image_processor.catalog.objects import PREFIX, ObjectCatalog
from image_processor.catalog.rows import to_record, to_row
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.errors import LeaseBusy
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status, Upload, VisualSummary
from image_processor.domain.ports import Attributes, Catalog
from image_processor.storage.directory import DirectoryStore
from support.memory_store import MemoryStore

STORED: dict[str, Any] = json.loads(Path(__file__).with_name("stored_0_1.json").read_text(encoding="utf-8"))
NOW = datetime(2026, 5, 17, 12, 30, 0, 123456, tzinfo=UTC)
LEASE_END = NOW + timedelta(minutes=5)
RECORD = Record(
    id="ejz5z25lgj5z3egduj5vqu2iye",
    bucket="uploads",
    key="photos/café.jpg",
    created_at=NOW,
    updated_at=NOW + timedelta(seconds=2),
    status=Status.PROCESSED,
    version="0a1b2c",
    sequencer="000000000000000000000055aed6dcd9",
    fingerprint="f1e2d3",
    original=ImageMetadata(4000, 3000, "jpeg", 1, False, 2_345_678, "9f" * 32),
    summary=VisualSummary(
        "#a0522d",
        "1QcSHQRnh493V4dIh4eXh1h4kJUI",
        "c3d2e1f00f1e2d3c",
        "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
        ("#a0522d", "#ffffff"),
        (0.5, 0.333),
    ),
    renditions=(
        Rendition(
            "photos/café.jpg/w=640,fm=webp.webp",
            "w=640,fm=webp",
            ImageMetadata(640, 480, "webp", 1, True, 34_567, "ab" * 32),
            "9z8y7x",
        ),
    ),
    revision=3,
    exif=(("make", "Canon"), ("description", "Café, „quoted“")),
)


def expect_record_and_lease(catalog: Catalog) -> None:
    """The record is read, the lease holds until it ends, and a new one completes the record."""
    upload = Upload(RECORD.bucket, RECORD.key)
    record = catalog.get(RECORD.id)
    assert record == replace(RECORD, revision=1)
    assert list(catalog.scan()) == [record]
    with pytest.raises(LeaseBusy):
        catalog.acquire(upload, owner="new", now=NOW, duration=timedelta(minutes=5))
    lease = catalog.acquire(upload, owner="new", now=LEASE_END, duration=timedelta(minutes=5))
    assert lease.record == record
    assert catalog.complete(lease, record) == replace(record, revision=2)


def test_a_row_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    SqliteCatalog(path).close()
    row = STORED["sqlite_row"]
    columns, parameters = ", ".join(row), ", ".join("?" * len(row))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"INSERT INTO records ({columns}) VALUES ({parameters})", tuple(row.values()))
    with closing(SqliteCatalog(path)) as catalog:
        expect_record_and_lease(catalog)


def test_an_item_of_dynamodb() -> None:
    item = STORED["dynamodb_item"]
    assert from_item(item) == RECORD
    # What is written today has the same attributes and, apart from escapes in JSON, the same values.
    lease = {name: value for name, value in item.items() if name.startswith("claim_")}
    assert from_item(to_item(RECORD) | lease) == from_item(item)
    later = {"similar_group", "similar_hash"}
    assert set(to_item(RECORD) | lease) == set(item) | later


def test_a_json_document_of_the_object_catalog() -> None:
    store = MemoryStore()
    body = STORED["json_document"].encode()
    store.put(f"{PREFIX}{RECORD.id}.json", body, Attributes("application/json"))
    expect_record_and_lease(ObjectCatalog(store))


def test_an_encoded_key_and_its_sidecar_in_a_directory(tmp_path: Path) -> None:
    for name, text in STORED["directory"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, ns=(STORED["directory_mtime_ns"],) * 2)
    store = DirectoryStore(tmp_path)
    attributes = Attributes("image/webp", "public, max-age=60", {"fingerprint": "ab12", "name": "caf"})
    stored = store.get("a//b")
    assert (stored.body, stored.attributes) == (b"x", attributes)
    assert list(store.list()) == [stored.entry]
    assert store.put("a//b", b"y", attributes, condition=stored.entry.version).size == 1
    assert store.get("a//b").attributes == attributes


NEW_FIELDS = {"keep_smaller": None, "file_frames": None}
"""Of later versions, and what they say of records as version 0.1 wrote them."""


def without_new_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: without_new_fields(item)
            for name, item in value.items()
            if name not in NEW_FIELDS or item != NEW_FIELDS[name]
        }
    return [without_new_fields(item) for item in value] if isinstance(value, list) else value


def test_the_stored_names_of_fields_do_not_change() -> None:
    leases = {"claim_token", "claim_owner", "claim_expires_at"}
    assert set(to_row(RECORD)) - {"focus"} == set(STORED["sqlite_row"]) - leases
    row = {name: json.loads(to_row(RECORD)[name] or "") for name in ("original", "look", "renditions")}
    assert without_new_fields(row) == {
        name: json.loads(STORED["sqlite_row"][name]) for name in ("original", "look", "renditions")
    }
    assert to_record(STORED["sqlite_row"]) == replace(RECORD, revision=1)
