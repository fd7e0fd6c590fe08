"""Catalogs: which of many perceptual hashes are nearest to a given one.

Every catalog answers `near` by comparing hashes without reading the records behind them.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from itertools import combinations

from image_processor.domain.models import Record

Near = tuple[int, str]
"""A number of bits in which two hashes differ, and the id of a record."""


def nearest(hashes: Iterable[tuple[str, str]], wanted: int, distance: int, limit: int) -> list[Near]:
    """The ``limit`` nearest of ``hashes`` (16 hex digits, and the id of the record) within ``distance``
    bits, nearest first, then by id."""
    near = (((wanted ^ int(text, 16)).bit_count(), id_) for text, id_ in hashes)
    return nsmallest(limit, (found for found in near if found[0] <= distance))


BANDS = 4
_BAND_BITS = 16
_MAX_FLIPS = 2


def similar_bands(wanted: int, distance: int) -> tuple[tuple[str, ...], ...] | None:
    """Values, 4 hex digits each, for each of the four bands of 16 bits: every hash within ``distance`` bits
    of ``wanted`` has one of them in at least one band. None if they would be too many.

    Of at most 4 n + 3 differing bits, one band has at most n ("multi-index hashing", Norouzi et al. 2012).
    """
    flips = distance // BANDS
    if flips > _MAX_FLIPS:
        return None
    masks = [
        sum(1 << bit for bit in bits)
        for count in range(flips + 1)
        for bits in combinations(range(_BAND_BITS), count)
    ]
    bands = (wanted >> _BAND_BITS * (BANDS - 1 - number) & 0xFFFF for number in range(BANDS))
    return tuple(tuple(f"{band ^ mask:04x}" for mask in masks) for band in bands)


def with_distance(record: Record, wanted: int) -> tuple[int, Record] | None:
    """The record with the distance of its hash; None if it has none."""
    if record.summary is None:
        return None
    return (wanted ^ int(record.summary.perceptual_hash, 16)).bit_count(), record


def nearest_records(
    records: Iterable[Record], wanted: int, distance: int, limit: int
) -> tuple[tuple[int, Record], ...]:
    """As `nearest`, of records."""
    pairs = (pair for record in records if (pair := with_distance(record, wanted)) is not None)
    near = (pair for pair in pairs if pair[0] <= distance)
    return tuple(nsmallest(limit, near, key=lambda pair: (pair[0], pair[1].id)))
