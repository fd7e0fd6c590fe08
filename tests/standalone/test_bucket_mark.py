"""The mark that keeps servers with catalogs of their own from one pair of buckets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import Attributes, Entry, StoredObject
from image_processor.standalone.bucket_mark import (
    KEY,
    LEASE_SECONDS,
    BucketMark,
    catalog_id,
    describe_mark,
    read_mark,
)
from support.memory_store import MemoryStore
from support.waiting import wait_for

NOW = [1000.0]


class Store(MemoryStore):
    """A store with a clock that the test turns."""

    def head(self, key: str) -> StoredObject:
        return self._dated(super().head(key))

    def get(self, key: str, **options: Any) -> StoredObject:
        return self._dated(super().get(key, **options))

    def put(self, key: str, body: bytes, attributes: Attributes, **options: Any) -> Entry:
        entry = super().put(key, body, attributes, **options)
        self.written = {**getattr(self, "written", {}), entry.version: datetime.fromtimestamp(NOW[0], UTC)}
        return entry

    def _dated(self, stored: StoredObject) -> StoredObject:
        return replace(stored, entry=replace(stored.entry, modified=self.written[stored.entry.version]))


def mark_of(
    store: MemoryStore, catalog: str, server: str, *, is_shared: bool = False, error: float = 0.0
) -> BucketMark:
    """A mark of a server whose clock is wrong by ``error`` seconds."""
    return BucketMark(store, catalog, server, is_shared=is_shared, clock=lambda: NOW[0] + error)


def started(mark: BucketMark) -> BucketMark:
    mark.start()
    mark.stop()
    return mark


def test_a_server_with_another_catalog_does_not_start_before_the_mark_ends() -> None:
    store = Store()
    mark_of(store, "a", "one").renew()
    other = mark_of(store, "b", "two")
    with pytest.raises(Unavailable, match=r"the server one works in these buckets .* its mark ends in 180 s"):
        other.start()
    NOW[0] += LEASE_SECONDS
    started(other)
    assert read_mark(store).mark is None


class SlowStore(Store):
    """While a server asks for the time, another one starts and asks too."""

    def put(self, key: str, body: bytes, attributes: Attributes, **options: Any) -> Entry:
        entry = super().put(key, body, attributes, **options)
        if not self.asked:
            self.asked = True
            with pytest.raises(Unavailable):
                mark_of(self, "c", "three").start()
        return entry

    asked = True


def test_servers_that_start_at_the_same_time_both_see_the_mark_of_another_catalog() -> None:
    store = SlowStore()
    mark_of(store, "a", "one").renew()
    store.asked = False
    with pytest.raises(Unavailable, match="the server one works in these buckets"):
        mark_of(store, "b", "two").start()
    assert store.asked


@pytest.mark.parametrize("error", [-1e9, 1e9])
def test_no_clock_of_a_server_decides_when_a_mark_ends(error: float) -> None:
    store = Store()
    mark_of(store, "a", "one", error=-error).renew()
    other = mark_of(store, "b", "two", error=error)
    NOW[0] += LEASE_SECONDS - 1
    with pytest.raises(Unavailable, match=r"its mark ends in 1 s"):
        other.start()
    other.renew()
    assert "the server one works in these buckets" in (other.trouble() or "")
    NOW[0] += 1
    started(other)


def test_nothing_is_left_of_a_look_at_the_stores_clock() -> None:
    store = Store()
    mark_of(store, "a", "one").renew()
    mark_of(store, "b", "two").renew()
    assert [entry.key for entry in store.list()] == [KEY]


def test_a_mark_is_described_to_people() -> None:
    store = Store()
    assert describe(store, "a") == "none"
    mark_of(store, "a", "one").renew()
    own = describe(store, "a")
    assert own.startswith("of the server one, written at ")
    assert "another catalog" not in own
    assert "with another catalog (a): servers with a catalog file each must not share" in describe(
        store, None
    )
    NOW[0] += LEASE_SECONDS + 1
    assert describe(store, "b").startswith("none in force; the last one is of the server one, written at ")
    store.put(KEY, b"{}", Attributes("text/plain"))
    assert describe(store, "b") == "none"


def test_what_others_have_written_into_a_mark_is_shown_as_text() -> None:
    store = Store()
    mark_of(store, "a\n\x1b[2J", "one\x1b]0;x\x07").renew()
    with pytest.raises(Unavailable) as refused:
        mark_of(store, "b", "two").start()
    for text in (str(refused.value), describe(store, "b")):
        assert text.isprintable()
        assert "x1b[2J" in text


def describe(store: Store, catalog: str | None) -> str:
    return describe_mark(read_mark(store), catalog, datetime.fromtimestamp(NOW[0], UTC))


def test_an_earlier_process_of_the_same_directory_is_followed_at_once() -> None:
    store = Store()
    mark_of(store, "a", "one").renew()
    second = mark_of(store, "a", "two")
    second.start()
    found = read_mark(store).mark
    second.stop()
    assert found is not None
    assert found.server == "two"


def test_a_server_that_lost_its_mark_says_so_until_the_other_one_has_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
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
    store = Store()
    original, copy = mark_of(store, "a", "one"), mark_of(store, "a", "two")
    original.renew()
    copy._take(is_start=True)
    original.renew()
    assert "the server two works in these buckets" in (original.trouble() or "")


def test_servers_over_one_table_share_the_mark_and_leave_it() -> None:
    store = Store()
    first, second = (mark_of(store, "table t", name, is_shared=True) for name in ("one", "two"))
    for mark in (first, second, first):
        mark.renew()
        assert mark.trouble() is None
    started(second)
    found = read_mark(store).mark
    assert found is not None
    with pytest.raises(Unavailable):
        mark_of(store, "a", "three").start()


def test_a_store_that_does_not_answer_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    class Down(Store):
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
    assert read_mark(store).mark is not None
    mark.stop()
    wait_for(lambda: read_mark(store).mark is None, "the end of the mark")


def test_what_is_no_mark_is_replaced() -> None:
    store = Store()
    store.put(KEY, b"{}", Attributes("text/plain"))
    mark_of(store, "a", "one").renew()
    assert read_mark(store).mark is not None


def test_a_data_directory_keeps_its_name(tmp_path: Path) -> None:
    name = catalog_id(tmp_path)
    assert len(name) == 32
    assert catalog_id(tmp_path) == name
    (tmp_path / "other").mkdir()
    assert catalog_id(tmp_path / "other") != name
    with pytest.raises(Unavailable, match="cannot write"):
        catalog_id(tmp_path / "none")
