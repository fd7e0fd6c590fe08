"""Rules of the frozen values themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.formats import FORMATS
from image_processor.domain.models import ImageMetadata, Record, Rendition, Upload

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rendition(format_: str, width: int, height: int) -> Rendition:
    facts = ImageMetadata(width, height, format_, frames=1, alpha=False, bytes=1, sha256="0" * 64)
    return Rendition(f"cat.jpg/{width}x{height}.{format_}", f"w={width},fm={format_}", facts, "v1")


def record(*renditions: Rendition) -> Record:
    return Record("id", "uploads", "cat.jpg", NOON, NOON, renditions=renditions)


@given(st.integers(0, 16**32 - 1), st.integers(0, 16**32 - 1))
def test_sequencers_sort_as_text_like_their_numbers(one: int, other: int) -> None:
    """S3 sends sequencers of different lengths and compares them right-aligned."""
    first = Upload("b", "k", sequencer=f"{one:X}").sequencer
    second = Upload("b", "k", sequencer=f"{other:x}").sequencer
    assert first is not None
    assert second is not None
    assert (first < second, first == second) == (one < other, one == other)


def test_an_upload_may_have_no_sequencer() -> None:
    assert Upload("b", "k").sequencer is None


def test_a_padded_sequencer_is_not_padded_again() -> None:
    once = Upload("b", "k", sequencer="0055AED6DCD90281E5").sequencer
    assert once == "0000000000000055aed6dcd90281e5".rjust(32, "0")
    assert Upload("b", "k", sequencer=once).sequencer == once


@pytest.mark.parametrize(
    ("renditions", "chosen"),
    [
        ([], None),
        ([("avif", 320, 240)], 0),
        ([("jpeg", 320, 240), ("avif", 640, 480)], 1),  # size first
        ([("avif", 640, 480), ("webp", 640, 480), ("jpeg", 640, 480)], 2),  # then compatibility
        ([("webp", 640, 480), ("png", 640, 480)], 1),
        ([("webp", 640, 480), ("gif", 640, 480)], 1),
        ([("avif", 640, 480), ("webp", 640, 480)], 1),
        ([("jpeg", 300, 100), ("jpeg", 200, 201)], 1),  # area, not one side
    ],
)
def test_the_rendition_to_show_is_the_largest_then_the_most_compatible(
    renditions: list[tuple[str, int, int]], chosen: int | None
) -> None:
    result = [rendition(*row) for row in renditions]
    assert record(*result).processed is (None if chosen is None else result[chosen])


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_has_the_media_type_of_its_format(name: str) -> None:
    assert rendition(name, 1, 1).metadata.media_type == FORMATS[name].media_type
