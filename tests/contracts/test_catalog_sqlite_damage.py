"""A damaged catalog file is recognised, named, and repaired as far as its rows can be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.catalog.sqlite.repair import find_damage, repair
from image_processor.domain.errors import CatalogDamaged, InsufficientStorage
from image_processor.domain.models import MessageKind, OutboxMessage, Status, Upload

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 400
PAGE = 4096
GARBAGE = bytes(range(256)) * (PAGE // 256)


@pytest.fixture
def file(tmp_path):
    """A catalog of COUNT records and one unsent event; one record is leased."""
    file = tmp_path / "catalog.sqlite"
    catalog = SqliteCatalog(file)
    for number in range(COUNT):
        acquire(catalog, number, complete=number > 0)
    catalog.close()
    return file


def acquire(catalog, number, *, complete):
    upload, now = Upload("uploads", f"{number:04}.jpg"), NOW + timedelta(seconds=number)
    lease = catalog.acquire(upload, owner="test", now=now, duration=timedelta(days=9999))
    if complete:
        record = replace(lease.record, status=Status.PROCESSED, version=f"v{number}", fingerprint="x" * 200)
        message = OutboxMessage("1", MessageKind.EVENT, upload.key, NOW, "{}")
        catalog.complete(lease, record, (message,) if number == 1 else ())


def records(file):
    catalog = SqliteCatalog(file)
    found = {record.key: record for record in catalog.scan()}
    catalog.close()
    return found


def overwrite(file, *pages):
    with file.open("r+b") as stream:
        for page in pages:
            stream.seek((page - 1) * PAGE)
            stream.write(GARBAGE)


def leaf_pages(file):
    """Pages from the middle of the file, which hold rows and index entries."""
    middle = file.stat().st_size // PAGE // 2
    return range(middle, middle + 6)


DAMAGES = {
    "header": lambda file: overwrite(file, 1),
    "rows": lambda file: overwrite(file, *leaf_pages(file)),
    "all": lambda file: file.write_bytes(GARBAGE * 10),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[: 20 * PAGE + 100]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damage_is_found_and_a_repair_makes_an_intact_catalog_of_true_records(file, damage):
    before = records(file)
    damage(file)
    assert find_damage(file) is not None
    repaired = repair(file, NOW)
    assert find_damage(file) is None
    after = records(file)
    assert len(after) == repaired.records
    assert after.items() <= before.items()
    assert repaired.damaged.name == "catalog.sqlite.damaged-20260101T000000"
    assert repaired.damaged.exists()


def test_a_repair_keeps_what_can_be_read_and_releases_leases(file):
    overwrite(file, *leaf_pages(file))
    repaired = repair(file, NOW)
    assert COUNT // 2 < repaired.records < COUNT
    assert repaired.events == 1
    catalog = SqliteCatalog(file)
    acquire(catalog, 0, complete=True)  # LeaseBusy before
    catalog.close()


def test_an_intact_catalog_has_no_damage(file, tmp_path):
    assert find_damage(file) is None
    assert find_damage(tmp_path / "missing") is None


@pytest.mark.parametrize("damage", [DAMAGES["header"], DAMAGES["all"]], ids=["header", "all"])
def test_a_file_that_cannot_be_opened_is_named_with_the_cure(file, damage):
    damage(file)
    with pytest.raises(CatalogDamaged) as raised:
        SqliteCatalog(file)
    assert str(file) in str(raised.value)
    assert "doctor --repair" in str(raised.value)
    assert "delete the file" in str(raised.value)


def test_damage_while_running_is_remembered_and_the_rest_stays_readable(file, caplog):
    keys = records(file)
    catalog = SqliteCatalog(file)
    overwrite(file, *leaf_pages(file))
    outcomes = []
    for record in keys.values():
        catalog._connection.execute("PRAGMA shrink_memory")  # forget cached pages
        try:
            outcomes.append(catalog.get(record.id) == record)
        except CatalogDamaged:
            outcomes.append(None)
    catalog.close()
    assert set(outcomes) == {True, None}
    assert f"{file.parent.name}/{file.name} is damaged" in catalog.damage
    assert str(file.parent) not in catalog.damage  # strangers see it
    assert str(file) in caplog.text
    assert caplog.text.count("is damaged") == 1


def test_a_file_that_is_removed_or_replaced_while_running_is_noticed(file, tmp_path):
    catalog = SqliteCatalog(file)
    file.rename(tmp_path / "moved")
    with pytest.raises(CatalogDamaged, match="removed or replaced"):
        catalog.get("x")
    SqliteCatalog(file).close()
    with pytest.raises(CatalogDamaged, match="removed or replaced"):
        acquire(catalog, 500, complete=False)
    catalog.close()
    assert "removed or replaced" in catalog.damage


def test_a_catalog_that_cannot_grow_has_no_room(file):
    catalog = SqliteCatalog(file)
    (pages,) = catalog._connection.execute("PRAGMA page_count").fetchone().values()
    catalog._connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill():
        for number in range(COUNT, 2 * COUNT):
            acquire(catalog, number, complete=True)

    with pytest.raises(InsufficientStorage, match="database or disk is full"):
        fill()
    assert catalog.damage is None
    catalog.close()
