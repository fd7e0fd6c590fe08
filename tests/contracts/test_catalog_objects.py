"""The object catalog: where its documents are stored and what requests they cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from contract_records import LEASE, NOW, OLD_RECORD, OLD_SUMMARY, acquire
from msgspec.structs import replace

from image_processor.catalog.objects import PREFIX, ObjectCatalog
from image_processor.catalog.rows import to_row
from image_processor.domain.errors import LeaseBusy, LeaseLost, PreconditionFailed, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Status
from image_processor.domain.ports import Attributes, Query
from image_processor.domain.transformation import is_rendition_name
from image_processor.renditions.freshness import list_renditions
from support.ingest import IngestFixture, upload
from support.memory_store import MemoryStore


class CountingStore(MemoryStore):
    """A store that records its calls, and runs ``before_put`` once before a put or a delete."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.before_put: Callable[[], object] | None = None

    def get(self, *arguments: Any, **more: Any) -> Any:
        self.calls.append("get")
        return super().get(*arguments, **more)

    def put(self, *arguments: Any, **more: Any) -> Any:
        self.calls.append("put")
        self._run_before_put()
        return super().put(*arguments, **more)

    def delete(self, *arguments: Any, **more: Any) -> None:
        self.calls.append("delete")
        self._run_before_put()
        super().delete(*arguments, **more)

    def _run_before_put(self) -> None:
        now, self.before_put = self.before_put, None
        if now is not None:
            now()


def test_a_lease_on_a_new_key_and_each_change_under_it_are_one_write() -> None:
    store = CountingStore()
    catalog = ObjectCatalog(store)
    lease = acquire(catalog)
    catalog.renew(lease, now=NOW, duration=LEASE)
    catalog.complete(lease, lease.record)
    assert store.calls == ["put"] * 3
    store.calls.clear()
    catalog.release(acquire(catalog))
    catalog.delete(acquire(catalog))
    known = ["put", "get", "put"]  # the assumption that the key is new was wrong
    assert store.calls == [*known, "put", *known, "delete"]


def test_a_change_by_another_process_under_the_lease_is_noticed() -> None:
    store = CountingStore()
    lease = acquire(ObjectCatalog(store))
    other = ObjectCatalog(store)
    other.renew(lease, now=NOW, duration=LEASE)
    assert store.calls[-2:] == ["get", "put"]
    assert other.complete(lease, lease.record).revision == 1


def test_a_lease_whose_response_was_lost_is_kept() -> None:
    """The write succeeds and its response is lost. Sent again, its condition does not hold."""
    store = CountingStore()
    catalog = ObjectCatalog(store)

    def lose(key: str, body: bytes, attributes: Attributes, **more: Any) -> Any:
        del store.put  # type: ignore[method-assign] # only the first response is lost
        MemoryStore.put(store, key, body, attributes, **more)
        raise PreconditionFailed(key)

    store.put = lose  # type: ignore[method-assign] # as above
    lease = acquire(catalog)
    assert catalog.complete(lease, lease.record).revision == 1


@pytest.mark.parametrize("meanwhile", ["acquires", "acquires and releases"])
def test_a_lease_acquired_between_read_and_write_is_noticed(meanwhile: str) -> None:
    store = CountingStore()
    catalog = ObjectCatalog(store)

    def other() -> None:
        lease = acquire(catalog, owner="other")
        if meanwhile == "acquires and releases":
            catalog.release(lease)

    store.before_put = other
    if meanwhile == "acquires":
        with pytest.raises(LeaseBusy):
            acquire(catalog)
    else:
        assert acquire(catalog).owner == "a"


def test_a_record_that_keeps_changing_is_unavailable() -> None:
    """Another writer always changes it first, and leaves no lease."""
    store, key = CountingStore(), f"{PREFIX}{image_id('uploads', 'photos/cat.jpg')}.json"
    catalog = ObjectCatalog(store)

    def delete_again() -> None:
        store.before_put = None
        MemoryStore.put(store, key, b"{}", Attributes())
        store.before_put = delete_again

    store.before_put = delete_again
    with pytest.raises(Unavailable, match="kept changing"):
        acquire(catalog)


def test_delete_leaves_no_object() -> None:
    store = MemoryStore()
    catalog = ObjectCatalog(store)
    catalog.delete(acquire(catalog))
    assert store.bodies() == {}


def test_delete_spares_the_lease_that_another_worker_acquired_meanwhile() -> None:
    store = CountingStore()
    catalog = ObjectCatalog(store)
    lease, later = acquire(catalog), NOW + LEASE
    store.before_put = lambda: acquire(ObjectCatalog(store), owner="other", now=later)
    with pytest.raises(LeaseLost):
        catalog.delete(lease)
    with pytest.raises(LeaseBusy):
        acquire(catalog, now=later)


def test_what_version_0_1_left_of_deleted_records_is_no_record_and_goes_with_reindex() -> None:
    store = MemoryStore()
    catalog = ObjectCatalog(store)
    left = f"{PREFIX}{image_id('uploads', 'photos/cat.jpg')}.json"
    store.put(left, b"{}", Attributes())
    store.put(f"{PREFIX}other.json", b"{}", Attributes())
    assert list(catalog.scan()) == []
    assert catalog.list(Query(), limit=1).records == ()
    lease = acquire(catalog)
    assert catalog.reindex() == 1
    assert list(store.bodies()) == [left]
    assert catalog.complete(lease, lease.record).revision == 1
    assert catalog.reindex() == 0


def test_ids_spread_records_evenly_below_the_prefix() -> None:
    """So S3 can divide the prefix when its request rate grows."""
    first = Counter(image_id("uploads", f"2026/05/17/{number:06}.jpg")[0] for number in range(32_000))
    assert len(first) == 32
    assert all(850 < count < 1150 for count in first.values())


def test_documents_without_later_columns_are_read() -> None:
    store = MemoryStore()
    row = {name: value for name, value in to_row(OLD_RECORD).items() if name != "exif"} | {
        "look": OLD_SUMMARY
    }
    body = json.dumps({"record": row}).encode()
    store.put(f"{PREFIX}{OLD_RECORD.id}.json", body, Attributes("application/json"))
    assert list(ObjectCatalog(store).scan()) == [OLD_RECORD]


def test_documents_must_not_be_cached() -> None:
    store = MemoryStore()
    acquire(ObjectCatalog(store))
    (entry,) = store.list(PREFIX)
    attributes = store.head(entry.key).attributes
    assert (attributes.media_type, attributes.cache_control) == ("application/json", "no-store")


def test_records_are_never_mistaken_for_renditions() -> None:
    """Even if an original has the name of the folder of records."""
    ingest = IngestFixture()
    ingest.catalog = ObjectCatalog(ingest.processed)
    keys = ["photos/cat.jpg", PREFIX.rstrip("/"), ".image-processor"]
    for key in keys:
        ingest.put(key, b"bytes of " + key.encode())
        ingest.processor().process(upload(key))
    records = [entry.key for entry in ingest.processed.list(PREFIX) if entry.key.endswith(".json")]
    assert len(records) == len(keys)
    assert not any(is_rendition_name(key.rpartition("/")[2]) for key in records)
    assert list(ingest.reconciler().findings()) == []
    for key in keys:
        assert len(list_renditions(ingest.processed, key)) == 4
        ingest.uploads.delete(key)
        ingest.processor().process(upload(key))
        assert list_renditions(ingest.processed, key) == []
    assert ingest.processed.bodies() == {}


def test_a_listing_costs_one_get_per_record() -> None:
    store = CountingStore()
    catalog = ObjectCatalog(store)
    for number in range(300):
        lease = acquire(catalog, f"{number:03}")
        catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
    store.calls.clear()
    assert len(catalog.list(Query(prefix="01"), limit=20).records) == 10
    assert store.calls == ["get"] * 300


def test_an_object_that_is_damaged_or_unreadable_hides_no_other() -> None:
    store = MemoryStore()
    catalog = ObjectCatalog(store)
    for key in ("a.jpg", "b.jpg", "c.jpg"):
        lease = acquire(catalog, key)
        catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
    damaged, denied = (f"{PREFIX}{image_id('uploads', key)}.json" for key in ("a.jpg", "b.jpg"))
    store.put(damaged, b'{"record": {"id": ', Attributes())
    store.unreadable = {denied}
    assert [record.key for record in catalog.scan()] == ["c.jpg"]
    lease = acquire(catalog, "a.jpg")
    catalog.complete(lease, replace(lease.record, status=Status.PROCESSED))
    store.unreadable = set()
    assert {record.key for record in catalog.scan()} == {"a.jpg", "b.jpg", "c.jpg"}
