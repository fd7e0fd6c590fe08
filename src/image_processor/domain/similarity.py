"""Near-duplicates: the records whose pictures look like a given one, by their perceptual hashes.

A search through the whole catalog, on one machine and on AWS; it writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest

from msgspec import Struct

from .errors import Invalid, NotFound, Problem
from .keys import image_id
from .models import Record
from .ports import Catalog

MAX_DISTANCE = 64
"""The bits of a perceptual hash: two of them cannot differ in more."""

NEAR = 10
"""The distance within which a photograph is found again that was made smaller, recompressed, or cropped
by 2 % at each edge (tests/engine/test_near_duplicates.py). Unrelated ones differ in 22 bits or more."""

MAX_LIMIT = 1000
MANY = 20
"""How many are told unless somebody asks for more."""


class Similar(Struct, frozen=True):
    """A record, and in how many bits (0-64) its hash differs from the one looked for."""

    record: Record
    distance: int


def find_record(catalog: Catalog, bucket: str, name: str) -> Record:
    """The record of ``name``, an original's key or id. Raises NotFound."""
    record = catalog.get(image_id(bucket, name)) or catalog.get(name)
    if record is None:
        raise NotFound(f"expected the key or id of an original for KEY, got {name!r}")
    return record


def similar_to(
    catalog: Catalog, record: Record, *, distance: int = NEAR, limit: int = MANY
) -> tuple[Similar, ...]:
    """The records at most ``distance`` (0-64) from ``record``, nearest first and at most ``limit``
    (1-1000); itself is not among them.

    Reads every record once, as `Catalog.scan` does, and keeps no more than ``limit`` of them. With
    12 renditions each, one core compares 20,000 records a second of SQLite's. DynamoDB bills
    1.2 read units a record and gives 1 MB a request; records as objects cost a GET each.
    Pictures without structure, such as plain ones, are all alike. Raises Invalid with every
    mistake, also for a record without a look: one that was refused or is not processed yet.
    """
    wanted = _checked(record, distance, limit)

    def found() -> Iterator[Similar]:
        for other in catalog.scan():
            if other.summary is not None and other.id != record.id:
                away = (wanted ^ int(other.summary.perceptual_hash, 16)).bit_count()
                if away <= distance:
                    yield Similar(other, away)

    return tuple(nsmallest(limit, found(), key=lambda each: (each.distance, each.record.key)))


def _checked(record: Record, distance: int, limit: int) -> int:
    """The hash to look for, as a number, once all of it makes sense."""
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
