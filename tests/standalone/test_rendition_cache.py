"""The cache keeps the most recently used renditions, within its limit of bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.errors import Unavailable
from image_processor.domain.ports import Entry
from image_processor.standalone.rendition_cache import RenditionCache
from support.waiting import wait_for

START = datetime(2026, 1, 1, tzinfo=UTC)


def entry(key: str, size: int, second: int = 0) -> Entry:
    return Entry(key, size, "1", START + timedelta(seconds=second))


def is_evictable(key: str) -> bool:
    return not key.startswith("declared")


def cache_of(max_bytes: int, *stored: Entry) -> tuple[RenditionCache, list[str]]:
    evicted: list[str] = []
    return RenditionCache(max_bytes, lambda: stored, is_evictable, evicted.append), evicted


def test_the_least_recently_used_is_evicted_first() -> None:
    cache, evicted = cache_of(30)
    for key in ("a", "b", "c"):
        cache.put(entry(key, 10))
    cache.touch("a")
    cache.put(entry("d", 10))
    assert (evicted, cache.total()) == (["b"], 30)
    cache.put(entry("e", 25))
    assert (evicted, cache.total()) == (["b", "c", "a", "d"], 25)


def test_renditions_of_earlier_runs_count_and_the_oldest_is_evicted_first() -> None:
    earlier = (entry("young", 10, 2), entry("old", 10, 1), entry("other", 10, 3), entry("declared", 90, 4))
    cache, evicted = cache_of(30, *earlier)
    cache.put(entry("new", 10))
    cache.fill()
    assert (evicted, cache.total()) == (["old"], 30)
    cache.put(entry("newer", 20))
    assert (evicted, cache.total()) == (["old", "young", "other"], 30)


def test_a_rendition_rendered_again_before_its_listing_is_not_old() -> None:
    cache, evicted = cache_of(30, entry("again", 10, 1), entry("other", 10, 2))
    cache.put(entry("again", 15))
    cache.put(entry("new", 10))
    cache.fill()
    assert (evicted, cache.total()) == (["other"], 25)


def blocked_cache(
    *stored: Entry,
) -> tuple[RenditionCache, threading.Event, threading.Event, list[str]]:
    """A cache whose listing waits after its first entry; the events say that it waits, and end that."""
    waits, go_on = threading.Event(), threading.Event()
    listed: list[str] = []

    def listing() -> Iterator[Entry]:
        for item in stored:
            listed.append(item.key)
            yield item
            waits.set()
            go_on.wait()

    return RenditionCache(30, listing, is_evictable, lambda _: None), waits, go_on, listed


def test_nothing_waits_for_the_listing_of_earlier_renditions() -> None:
    cache, waits, go_on, _ = blocked_cache(entry("old", 10), entry("other", 10))
    cache.start()
    cache.put(entry("first", 10))
    waits.wait()
    cache.put(entry("second", 10))
    cache.touch("first")
    assert cache.total() == 20
    go_on.set()
    wait_for(lambda: cache.total() == 30, "the listing counts")  # 40, and the oldest evicted
    cache.stop()


def test_a_stop_ends_the_listing_after_one_more_entry() -> None:
    """Also where no entry counts, which a filter before the listing's consumer would hide from it."""
    declared = (entry(f"declared/{number}", 1) for number in range(1000))
    cache, waits, go_on, listed = blocked_cache(*declared)
    cache.start()
    cache.put(entry("first", 10))
    waits.wait()
    stopper = threading.Thread(target=cache.stop)
    stopper.start()
    wait_for(cache._stop.is_set, "the stop was asked for")
    go_on.set()
    stopper.join()
    assert listed == ["declared/0", "declared/1"]


def test_without_a_new_rendition_nothing_is_listed() -> None:
    listed: list[str] = []
    cache = RenditionCache(30, lambda: listed.append("all") or (), is_evictable, lambda _: None)
    cache.start()
    cache.touch("any")
    cache.stop()
    assert listed == []


def test_a_listing_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_processor.standalone.rendition_cache._RETRY_SECONDS", 0.001)
    results = iter([Unavailable("no disk"), [entry("old", 10)]])

    def listing() -> Iterable[Entry]:
        result = next(results)
        if isinstance(result, Unavailable):
            raise result
        return result

    cache = RenditionCache(30, listing, is_evictable, lambda _: None)
    cache.start()
    cache.put(entry("new", 10))
    wait_for(lambda: cache.total() == 20, "the second listing counts")
    cache.stop()


def test_a_rendition_that_cannot_be_deleted_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def delete(_: str) -> None:
        raise Unavailable("read-only")

    cache = RenditionCache(10, tuple, is_evictable, delete)
    cache.put(entry("a", 10))
    cache.put(entry("b", 10))
    assert "'a' cannot be evicted: read-only" in caplog.text


def test_a_rendition_rendered_again_counts_once() -> None:
    cache, evicted = cache_of(30)
    cache.put(entry("a", 20))
    cache.put(entry("a", 25))
    assert (evicted, cache.total()) == ([], 25)


def test_one_larger_than_the_cache_stays_alone_until_the_next() -> None:
    cache, evicted = cache_of(30)
    cache.put(entry("a", 10))
    cache.put(entry("giant", 100))
    assert evicted == ["a"]
    cache.put(entry("b", 10))
    assert (evicted, cache.total()) == (["a", "giant"], 10)


def test_touching_an_unknown_key_changes_nothing() -> None:
    cache, _ = cache_of(30)
    cache.touch("nowhere")
    assert cache.total() == 0


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 20), st.booleans()), max_size=60))
def test_the_total_is_bounded_and_exact(steps: list[tuple[str, int, bool]]) -> None:
    stored: dict[str, int] = {}
    cache = RenditionCache(50, tuple, is_evictable, lambda key: stored.pop(key) and None)
    for key, size, touch in steps:
        if touch:
            cache.touch(key)
            continue
        stored[key] = size
        cache.put(entry(key, size))
        assert cache.total() == sum(stored.values()) <= 50
        assert key in stored
