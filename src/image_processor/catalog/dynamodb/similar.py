"""DynamoDB catalog: the index of perceptual hashes, and which part of it a search reads.

The index is ordered by the bits of the hash. Its first twelve belong to the lowest frequencies of an image,
which its copies share: of 1,249 copies within 10 bits (tests/engine/test_near_duplicates.py describes such
copies), 94 % differ in at most one of the twelve, 99 % in two, 99.5 % in three. So a search reads the cells
whose twelve bits differ in at most ``radius`` bits from the wanted ones. That finds every hash within
``radius`` bits, and most of those beyond. Small indexes are read as a whole. docs/adr/0007 compares this with
other ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from math import comb

from msgspec import Struct

_HASH_BITS = 64
_CELL_BITS = 12
_CELL_DIGITS = _CELL_BITS // 4

MAX_ENTRIES = 100_000
"""Entries of about 75 bytes that a search reads: at most 1,000 read units, and about a second."""


class HashRange(Struct, frozen=True):
    """A part of the index: the entries of one partition from one sort key to another."""

    group: str
    low: str
    high: str


def index_key(perceptual_hash: str) -> tuple[str, str]:
    """The partition key and the sort key of a hash of 16 hex digits.

    The first bit of a hash, the mean of the image, is nearly always set, so it goes to the end.
    """
    value = int(perceptual_hash, 16)
    text = f"{(value << 1 | value >> _HASH_BITS - 1) & (1 << _HASH_BITS) - 1:016x}"
    return text[0], text


def hash_of(sort_key: str) -> str:
    """The hash that has this sort key."""
    value = int(sort_key, 16)
    return f"{value >> 1 | (value & 1) << _HASH_BITS - 1:016x}"


def radius_for(entries: int) -> int:
    """The greatest radius that reads at most MAX_ENTRIES, if ``entries`` are evenly spread. _CELL_BITS reads
    all of them."""
    radius, cells = 0, 1
    while radius < _CELL_BITS:
        cells += comb(_CELL_BITS, radius + 1)
        if entries * cells > MAX_ENTRIES << _CELL_BITS:
            return radius
        radius += 1
    return radius


def is_exact(radius: int, distance: int) -> bool:
    """Whether the cells within ``radius`` hold every hash within ``distance``."""
    return radius >= min(distance, _CELL_BITS)


def ranges_around(wanted: int, radius: int) -> list[HashRange]:
    """The cells within ``radius`` bits of the hash ``wanted``, the nearest first; adjacent ones as one
    range."""
    centre = int(index_key(f"{wanted:016x}")[1][:_CELL_DIGITS], 16)
    cells = (cell for cell in range(1 << _CELL_BITS) if (cell ^ centre).bit_count() <= radius)
    ranges = list(_merged(cells))
    return sorted(ranges, key=lambda part: (int(part.group, 16) ^ centre >> _CELL_BITS - 4).bit_count())


def _merged(cells: Iterator[int]) -> Iterator[HashRange]:
    """Ranges of consecutive cells, each within one partition."""
    consecutive = groupby(enumerate(cells), lambda pair: (pair[1] - pair[0], pair[1] >> _CELL_BITS - 4))
    for _, run in consecutive:
        found = [f"{cell:0{_CELL_DIGITS}x}" for _, cell in run]
        # `g` sorts after every hexadecimal digit.
        yield HashRange(found[0][0], found[0], f"{found[-1]}g")
