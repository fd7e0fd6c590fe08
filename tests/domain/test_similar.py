"""The search for near-duplicates: its results, their order, and its errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.domain.errors import Invalid, NotFound, Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import Record, Status, VisualSummary
from image_processor.domain.similarity import find_record, similar_to
from support.ingest import BUCKET, IngestFixture

HASHES = st.integers(0, 2**64 - 1)
NOW = IngestFixture().now


class Records:
    """The part of a catalog that the search uses."""

    def __init__(self, *records: Record) -> None:
        self.records = {record.id: record for record in records}

    def get(self, id_: str) -> Record | None:
        return self.records.get(id_)

    def scan(self) -> Iterator[Record]:
        return iter(self.records.values())


def record(key: str, hash_: int, **changes: object) -> Record:
    seen = VisualSummary("#102030", "aGFzaA==", f"{hash_:016x}")
    made = Record(image_id(BUCKET, key), BUCKET, key, NOW, NOW, status=Status.PROCESSED, summary=seen)
    return replace(made, **changes)


def found(catalog: Records, wanted: Record, **limits: int) -> list[tuple[str, int]]:
    return [(each.record.key, each.distance) for each in similar_to(catalog, wanted, **limits)]


@given(HASHES, st.lists(HASHES, max_size=30), st.integers(0, 64), st.integers(1, 40))
def test_the_search_returns_the_nearest_within_the_distance_without_itself(
    wanted: int, others: list[int], distance: int, limit: int
) -> None:
    here = record("here", wanted)
    catalog = Records(*(record(f"{index:02}", hash_) for index, hash_ in enumerate(others)), here)
    away = [(f"{index:02}", (wanted ^ hash_).bit_count()) for index, hash_ in enumerate(others)]
    near = sorted((pair for pair in away if pair[1] <= distance), key=lambda pair: (pair[1], pair[0]))
    assert found(catalog, here, distance=distance, limit=limit) == near[:limit]


def test_the_defaults_are_ten_bits_and_twenty_records() -> None:
    here = record("here", 0)
    ten, eleven = record("ten", 2**10 - 1), record("eleven", 2**11 - 1)
    assert found(Records(here, ten, eleven), here) == [("ten", 10)]
    crowd = [record(f"{index:02}", 1) for index in range(30)]
    assert found(Records(here, *crowd), here) == [(f"{index:02}", 1) for index in range(20)]


def test_records_without_a_summary_are_skipped() -> None:
    here = record("here", 0)
    assert found(Records(here, record("new", 0, summary=None, status=Status.PROCESSING)), here) == []


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"status": Status.REFUSED, "reason": Reason.CORRUPT}, "one that is refused (corrupt)"),
        ({"status": Status.PROCESSING}, "one that is processing"),
    ],
)
def test_an_original_without_a_summary_cannot_be_searched_for(changes: dict[str, object], got: str) -> None:
    with pytest.raises(Invalid) as caught:
        similar_to(Records(), record("a.jpg", 0, summary=None, **changes))
    assert str(caught.value) == f"expected an original with a perceptual hash for 'a.jpg', got {got}"


def test_every_problem_is_reported() -> None:
    with pytest.raises(Invalid) as caught:
        similar_to(Records(), record("a.jpg", 0, summary=None), distance=99, limit=0)
    assert [str(problem) for problem in caught.value.problems][:2] == [
        "expected 0-64 for distance, got 99",
        "expected 1-1000 for limit, got 0",
    ]
    assert len(caught.value.problems) == 3
    for distance, limit in ((-1, 1), (0, 1001)):
        with pytest.raises(Invalid):
            similar_to(Records(), record("a.jpg", 0), distance=distance, limit=limit)


def test_a_record_is_found_by_key_and_by_id() -> None:
    here = record("a.jpg", 0)
    assert find_record(Records(here), BUCKET, "a.jpg") is here
    assert find_record(Records(here), BUCKET, here.id) is here
    with pytest.raises(NotFound, match=r"expected the key or id of an original for KEY, got 'b\.jpg'"):
        find_record(Records(here), BUCKET, "b.jpg")
