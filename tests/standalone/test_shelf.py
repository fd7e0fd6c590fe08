"""The shelf keeps what was shown last, within its bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.ports import Entry
from image_processor.standalone.rendition_cache import Shelf

START = datetime(2026, 1, 1, tzinfo=UTC)


def entry(key: str, size: int, second: int = 0) -> Entry:
    return Entry(key, size, "1", START + timedelta(seconds=second))


def shelf(most: int, *stored: Entry) -> tuple[Shelf, list[str]]:
    dropped: list[str] = []
    return Shelf(most, lambda: stored, dropped.append), dropped


def test_the_one_least_recently_shown_goes_first() -> None:
    kept, dropped = shelf(30)
    for key in ("a", "b", "c"):
        kept.put(entry(key, 10))
    kept.shown("a")
    kept.put(entry("d", 10))
    assert (dropped, kept.total()) == (["b"], 30)
    kept.put(entry("e", 25))
    assert (dropped, kept.total()) == (["b", "c", "a", "d"], 25)


def test_what_lies_there_from_before_counts_and_the_oldest_of_it_goes_first() -> None:
    kept, dropped = shelf(30, entry("young", 10, 2), entry("old", 10, 1), entry("other", 10, 3))
    kept.put(entry("new", 10))
    assert (dropped, kept.total()) == (["old"], 30)


def test_a_rendition_made_again_counts_once() -> None:
    kept, dropped = shelf(30)
    kept.put(entry("a", 20))
    kept.put(entry("a", 25))
    assert (dropped, kept.total()) == ([], 25)


def test_one_larger_than_the_shelf_stays_alone_until_the_next() -> None:
    kept, dropped = shelf(30)
    kept.put(entry("a", 10))
    kept.put(entry("giant", 100))
    assert dropped == ["a"]
    kept.put(entry("b", 10))
    assert (dropped, kept.total()) == (["a", "giant"], 10)


def test_what_is_shown_and_unknown_is_no_news() -> None:
    kept, _ = shelf(30)
    kept.shown("nowhere")
    assert kept.total() == 0


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 20), st.booleans()), max_size=60))
def test_it_is_bounded_and_knows_exactly_what_is_left(steps: list[tuple[str, int, bool]]) -> None:
    there: dict[str, int] = {}
    kept = Shelf(50, tuple, lambda key: there.pop(key) and None)
    for key, size, show in steps:
        if show:
            kept.shown(key)
            continue
        there[key] = size
        kept.put(entry(key, size))
        assert kept.total() == sum(there.values()) <= 50
        assert key in there
