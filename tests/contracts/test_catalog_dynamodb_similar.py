"""The DynamoDB catalog: which part of the index of perceptual hashes a search reads."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from contract_records import HASHES, NOW
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.catalog.dynamodb import search
from image_processor.catalog.dynamodb.schema import to_item
from image_processor.catalog.dynamodb.similar import (
    HashRange,
    hash_of,
    index_key,
    is_exact,
    radius_for,
    ranges_around,
)
from image_processor.domain.models import Record, VisualSummary
from image_processor.domain.ports import Neighbours
from support import aws
from support.scripted_http import Reply, Seen, scripted

RADII = st.integers(0, 12)


def is_read(perceptual_hash: int, ranges: list[HashRange]) -> bool:
    group, text = index_key(f"{perceptual_hash:016x}")
    return sum(part.group == group and part.low <= text <= part.high for part in ranges) == 1


@given(value=HASHES)
def test_a_sort_key_is_a_hash_in_another_order(value: int) -> None:
    text = f"{value:016x}"
    group, key = index_key(text)
    assert (hash_of(key), key[0], len(key)) == (text, group, 16)


@given(wanted=HASHES, bits=st.sets(st.integers(0, 63), max_size=12), radius=RADII)
def test_every_hash_within_the_radius_is_read(wanted: int, bits: set[int], radius: int) -> None:
    other = wanted ^ sum(1 << bit for bit in bits)
    if is_exact(radius, len(bits)):
        assert is_read(other, ranges_around(wanted, radius))


@given(wanted=HASHES, other=HASHES)
def test_the_greatest_radius_reads_each_partition_as_a_whole(wanted: int, other: int) -> None:
    ranges = ranges_around(wanted, 12)
    assert len(ranges) == 16
    assert is_read(other, ranges)


def test_the_part_that_is_read_shrinks_as_the_library_grows() -> None:
    assert [radius_for(10**power) for power in range(4, 10)] == [12, 12, 3, 1, 0, 0]
    assert [len(ranges_around(0, radius)) for radius in (0, 1, 2, 3)] == [1, 11, 55, 165]


class Index:
    """A scripted table whose index has these hashes; ``entries`` is what DescribeTable reports."""

    def __init__(self, hashes: list[int], entries: int) -> None:
        records = [Record(f"{number}", "uploads", f"{number}", NOW, NOW) for number in range(len(hashes))]
        self._items = [
            to_item(replace(record, summary=VisualSummary("", "", f"{value:016x}")))
            for record, value in zip(records, hashes, strict=True)
        ]
        self._entries = entries

    def respond(self, seen: Seen) -> Reply:
        fields = json.loads(seen.body)
        answers: dict[str, Callable[[], object]] = {
            "DescribeTable": lambda: {"Table": {"ItemCount": self._entries}},
            "Query": lambda: self._query(fields["ExpressionAttributeValues"]),
            "BatchGetItem": lambda: self._records(fields["RequestItems"]["table"]["Keys"]),
        }
        answer = answers[seen.headers["x-amz-target"].rpartition(".")[2]]
        return Reply(body=json.dumps(answer()).encode())

    def _records(self, keys: list[dict[str, object]]) -> dict[str, object]:
        return {"Responses": {"table": [item for item in self._items if {"id": item["id"]} in keys]}}

    def _query(self, values: dict[str, dict[str, str]]) -> dict[str, object]:
        group, low, high = (values[name]["S"] for name in (":group", ":low", ":high"))
        found = [
            item
            for item in self._items
            if item["similar_group"]["S"] == group and low <= item["similar_hash"]["S"] <= high
        ]
        return {"Items": found}

    def near(self, wanted: int, distance: int) -> Neighbours:
        with scripted(Reply(500)) as script:
            script.respond = self.respond
            return aws.open_catalog(script.address, "table").near(wanted, distance=distance, limit=10)


@pytest.mark.parametrize(
    ("entries", "distance", "is_complete"),
    [(100_000, 64, True), (1_000_000, 3, True), (1_000_000, 4, False), (10_000_000, 1, True)],
)
def test_a_search_says_whether_it_has_read_everything_that_may_be_near(
    entries: int, distance: int, *, is_complete: bool
) -> None:
    found = Index([0, 1], entries).near(0, distance)
    assert ([bits for bits, _ in found.records], found.is_complete) == ([0, 1], is_complete)


def test_a_search_ends_after_its_maximum_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of items may be old, or many hashes alike."""
    monkeypatch.setattr(search, "MAX_ENTRIES", 3)
    monkeypatch.setattr(search, "_THREADS", 1)
    assert Index([0, 1], 2).near(0, 64).is_complete
    found = Index([0, 1, 2, 2**62], 2).near(0, 64)
    assert not found.is_complete
    assert [bits for bits, _ in found.records] == [0, 1, 1]
