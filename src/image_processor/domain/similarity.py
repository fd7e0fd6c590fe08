"""Finds near-duplicates of an original by the perceptual hashes of the records."""

from __future__ import annotations

from msgspec import Struct

from .errors import Invalid, NotFound, Problem
from .keys import image_id
from .models import Record
from .ports import Catalog

MAX_DISTANCE = 64
"""The number of bits of a perceptual hash."""

NEAR = 10
"""The default maximum distance. Photos that were scaled down, recompressed or cropped by 2 % at each edge
are within it (tests/engine/test_near_duplicates.py); unrelated photos differ in 22 bits or more."""

MAX_LIMIT = 1000
DEFAULT_LIMIT = 20
"""How many records are returned by default."""


class Similar(Struct, frozen=True):
    """A record and the number of bits (0-64) in which its hash differs from the given one."""

    record: Record
    distance: int


class SimilarRecords(Struct, frozen=True):
    """What a search found. Unless ``is_complete``, other records may be as similar."""

    matches: tuple[Similar, ...]
    is_complete: bool


def find_record(catalog: Catalog, bucket: str, name: str) -> Record:
    """The record of the original with the key or id ``name``. Raises NotFound."""
    record = catalog.get(image_id(bucket, name)) or catalog.get(name)
    if record is None:
        raise NotFound(f"expected the key or id of an original for KEY, got {name!r}")
    return record


def similar_to(
    catalog: Catalog, record: Record, *, distance: int = NEAR, limit: int = DEFAULT_LIMIT
) -> SimilarRecords:
    """The records at most ``distance`` bits (0-64) from ``record``, without itself, nearest first.

    Returns at most ``limit`` (1-1000) records. Raises Invalid with every problem, also for a record
    without a visual summary: one that was refused or is not processed yet. Images without structure,
    such as plain colours, are all similar.
    """
    wanted = _hash_of(record, distance, limit)
    # One more, because the record itself is usually among them.
    near = catalog.near(wanted, distance=distance, limit=limit + 1)
    others = [Similar(other, bits) for bits, other in near.records if other.id != record.id][:limit]
    others.sort(key=lambda match: (match.distance, match.record.key))
    return SimilarRecords(tuple(others), near.is_complete)


def _hash_of(record: Record, distance: int, limit: int) -> int:
    """The perceptual hash of ``record`` as a number. Raises Invalid with every problem."""
    problems = []
    if not 0 <= distance <= MAX_DISTANCE:
        problems.append(Problem("distance", f"0-{MAX_DISTANCE}", str(distance)))
    if not 1 <= limit <= MAX_LIMIT:
        problems.append(Problem("limit", f"1-{MAX_LIMIT}", str(limit)))
    if record.summary is None:
        got = f"one that is {record.status}" + (f" ({record.reason})" if record.reason else "")
        problems.append(Problem(repr(record.key), "an original with a perceptual hash", got))
    if problems or record.summary is None:
        raise Invalid(problems)
    return int(record.summary.perceptual_hash, 16)
