"""The contract of ports.Catalog.near, for every adapter: the nearest perceptual hashes."""

from __future__ import annotations

import pytest
from contract_adapters import CatalogAdapter
from contract_records import HASHES, acquire
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.domain.models import Record, Status, VisualSummary
from image_processor.domain.ports import Catalog


def add(catalog: Catalog, key: str, perceptual_hash: int | None) -> Record:
    lease = acquire(catalog, key)
    summary = (
        VisualSummary("#102030", "aGFzaA==", f"{perceptual_hash:016x}")
        if perceptual_hash is not None
        else None
    )
    return catalog.complete(lease, replace(lease.record, status=Status.PROCESSED, summary=summary))


@st.composite
def related_hashes(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A hash, and others of which some differ from it in few bits."""
    expected = draw(HASHES)
    flips = st.sets(st.integers(0, 63), max_size=14).map(lambda bits: sum(1 << bit for bit in bits))
    return expected, draw(st.lists(HASHES | flips.map(lambda flipped: expected ^ flipped), max_size=10))


@given(hashes=related_hashes(), distance=st.integers(0, 64), limit=st.integers(1, 12))
@settings(max_examples=15)
def test_the_nearest_records_are_those_of_a_comparison_with_all(
    catalog_adapter: CatalogAdapter, hashes: tuple[int, list[int]], distance: int, limit: int
) -> None:
    expected, others = hashes
    with catalog_adapter.fresh() as connect, connect() as catalog:
        records = [add(catalog, f"{index}", value) for index, value in enumerate(others)]
        add(catalog, "without", None)
        distances = [
            ((expected ^ value).bit_count(), record) for value, record in zip(others, records, strict=True)
        ]
        near = sorted(
            (pair for pair in distances if pair[0] <= distance), key=lambda pair: (pair[0], pair[1].id)
        )
        found = catalog.near(expected, distance=distance, limit=limit)
        assert found.records == tuple(near[:limit])
        assert found.is_complete


@pytest.mark.parametrize("change", ["another hash", "refused", "deleted"])
def test_only_the_current_hash_of_a_record_counts(catalog: Catalog, change: str) -> None:
    add(catalog, "key", 0)
    if change == "another hash":
        add(catalog, "key", 2**63 - 1)
    elif change == "refused":
        add(catalog, "key", None)
    else:
        catalog.delete(acquire(catalog, "key"))
    assert catalog.near(0, distance=10, limit=5).records == ()
