"""The search for near-duplicates: its results, their order, and its errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.catalog.nearest import nearest_records
from image_processor.domain.errors import Invalid, NotFound, Reason
from image_processor.domain.keys import image_id
from image_processor.domain.models import Record, Status, VisualSummary
from image_processor.domain.ports import Neighbours
from image_processor.domain.similarity import find_record, similar_to
from support.ingest import BUCKET, IngestFixture

HASHES = st.integers(0, 2**64 - 1)
NOW = IngestFixture().now


class Records:
    """The part of a catalog that the search uses."""

    def __init__(self, *records: Record, is_complete: bool = True) -> None:
        self.records = {record.id: record for record in records}
        self.is_complete = is_complete

    def get(self, id_: str) -> Record | None:
        return self.records.get(id_)

    def near(self, perceptual_hash: int, *, distance: int, limit: int) -> Neighbours:
        records = nearest_records(self.records.values(), perceptual_hash, distance, limit)
        return Neighbours(records, self.is_complete)


def record(key: str, hash_: int, **changes: object) -> Record:
    seen = VisualSummary("#102030", "aGFzaA==", f"{hash_:016x}")
    result = Record(image_id(BUCKET, key), BUCKET, key, NOW, NOW, status=Status.PROCESSED, summary=seen)
    return replace(result, **changes)


def found(catalog: Records, wanted: Record, **limits: int) -> list[tuple[str, int]]:
    return [(each.record.key, each.distance) for each in similar_to(catalog, wanted, **limits).matches]


@given(HASHES, st.lists(HASHES, max_size=30), st.integers(0, 64), st.integers(1, 40))
def test_the_search_returns_the_nearest_within_the_distance_without_itself(
    wanted: int, others: list[int], distance: int, limit: int
) -> None:
    here = record("here", wanted)
    catalog = Records(*(record(f"{index:02}", hash_) for index, hash_ in enumerate(others)), here)
    away = [(f"{index:02}", (wanted ^ hash_).bit_count()) for index, hash_ in enumerate(others)]
    near = sorted((pair for pair in away if pair[1] <= distance), key=lambda pair: (pair[1], pair[0]))
    returned = found(catalog, here, distance=distance, limit=limit)
    # Of equally near ones any may be left out.
    assert [bits for _, bits in returned] == [bits for _, bits in near[:limit]]
    assert returned == [pair for pair in near if pair in returned]


def test_a_search_of_a_part_says_so() -> None:
    here, other = record("here", 0), record("other", 1)
    for is_complete in (True, False):
        result = similar_to(Records(here, other, is_complete=is_complete), here)
        assert ([match.record for match in result.matches], result.is_complete) == ([other], is_complete)


def test_the_defaults_are_ten_bits_and_twenty_records() -> None:
    here = record("here", 0)
    ten, eleven = record("ten", 2**10 - 1), record("eleven", 2**11 - 1)
    assert found(Records(here, ten, eleven), here) == [("ten", 10)]
    crowd = [record(f"{index:02}", 1) for index in range(30)]
    assert len(found(Records(here, *crowd), here)) == 20


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
