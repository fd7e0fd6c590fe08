"""The cache keeps the most recently used renditions, within its limit of bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.ports import Entry
from image_processor.standalone.rendition_cache import RenditionCache

START = datetime(2026, 1, 1, tzinfo=UTC)


def entry(key: str, size: int, second: int = 0) -> Entry:
    return Entry(key, size, "1", START + timedelta(seconds=second))


def cache_of(max_bytes: int, *stored: Entry) -> tuple[RenditionCache, list[str]]:
    evicted: list[str] = []
    return RenditionCache(max_bytes, lambda: stored, evicted.append), evicted


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
    cache, evicted = cache_of(30, entry("young", 10, 2), entry("old", 10, 1), entry("other", 10, 3))
    cache.put(entry("new", 10))
    assert (evicted, cache.total()) == (["old"], 30)


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
    cache = RenditionCache(50, tuple, lambda key: stored.pop(key) and None)
    for key, size, touch in steps:
        if touch:
            cache.touch(key)
            continue
        stored[key] = size
        cache.put(entry(key, size))
        assert cache.total() == sum(stored.values()) <= 50
        assert key in stored
