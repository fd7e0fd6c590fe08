"""The mark that keeps servers with catalogs of their own from one pair of buckets."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import Attributes
from image_processor.standalone.bucket_mark import KEY, LEASE_SECONDS, BucketMark, catalog_id, read_mark
from support.memory_store import MemoryStore
from support.waiting import wait_for

NOW = [1000.0]


def mark_of(store: MemoryStore, catalog: str, server: str, *, is_shared: bool = False) -> BucketMark:
    return BucketMark(store, catalog, server, is_shared=is_shared, clock=lambda: NOW[0])


def started(mark: BucketMark) -> BucketMark:
    mark.start()
    mark.stop()
    return mark


def test_a_server_with_another_catalog_does_not_start_before_the_mark_ends() -> None:
    store = MemoryStore()
    mark_of(store, "a", "one").renew()
    other = mark_of(store, "b", "two")
    with pytest.raises(Unavailable, match=r"the server one works in these buckets .* its mark ends in 180 s"):
        other.start()
    NOW[0] += LEASE_SECONDS
    started(other)
    assert read_mark(store)[0] is None


def test_an_earlier_process_of_the_same_directory_is_followed_at_once() -> None:
    store = MemoryStore()
    mark_of(store, "a", "one").renew()
    second = mark_of(store, "a", "two")
    second.start()
    found = read_mark(store)[0]
    second.stop()
    assert found is not None
    assert found.server == "two"


def test_a_server_that_lost_its_mark_says_so_until_the_other_one_has_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    first = mark_of(store, "a", "one")
    first.renew()
    NOW[0] += LEASE_SECONDS  # its storage did not answer for so long
    second = mark_of(store, "b", "two")
    second.renew()
    first.renew()
    assert "the server two works in these buckets with another catalog (b)" in (first.trouble() or "")
    assert "Set IMAGE_PROCESSOR_TABLE for all of them" in caplog.text
    assert second.trouble() is None
    NOW[0] += LEASE_SECONDS
    first.renew()
    assert first.trouble() is None


def test_a_copy_of_the_data_directory_is_noticed() -> None:
    store = MemoryStore()
    original, copy = mark_of(store, "a", "one"), mark_of(store, "a", "two")
    original.renew()
    copy._take(is_start=True)
    original.renew()
    assert "the server two works in these buckets" in (original.trouble() or "")


def test_servers_over_one_table_share_the_mark_and_leave_it() -> None:
    store = MemoryStore()
    first, second = (mark_of(store, "table t", name, is_shared=True) for name in ("one", "two"))
    for mark in (first, second, first):
        mark.renew()
        assert mark.trouble() is None
    started(second)
    found = read_mark(store)[0]
    assert found is not None
    with pytest.raises(Unavailable):
        mark_of(store, "a", "three").start()


def test_a_store_that_does_not_answer_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Down(MemoryStore):
        is_down = True

        def get(self, *values, **options):  # type: ignore[no-untyped-def]
            if self.is_down:
                raise Unavailable("the store is down")
            return super().get(*values, **options)

    store = Down()
    mark = mark_of(store, "a", "one")
    mark.start()
    assert "the buckets are not marked as those of this server's catalog: the store is down" in caplog.text
    store.is_down = False
    mark.renew()
    assert read_mark(store)[0] is not None
    mark.stop()
    wait_for(lambda: read_mark(store)[0] is None, "the end of the mark")


def test_what_is_no_mark_is_replaced() -> None:
    store = MemoryStore()
    store.put(KEY, b"{}", Attributes("text/plain"))
    mark_of(store, "a", "one").renew()
    assert read_mark(store)[0] is not None


def test_a_data_directory_keeps_its_name(tmp_path: Path) -> None:
    name = catalog_id(tmp_path)
    assert len(name) == 32
    assert catalog_id(tmp_path) == name
    (tmp_path / "other").mkdir()
    assert catalog_id(tmp_path / "other") != name
    with pytest.raises(Unavailable, match="cannot write"):
        catalog_id(tmp_path / "none")
