"""DynamoDB catalog: the search of the index of perceptual hashes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from image_processor.catalog.nearest import Near, nearest

from .schema import to_value
from .similar import MAX_ENTRIES, HashRange, hash_of, is_exact, radius_for, ranges_around

RunQuery = Callable[..., dict[str, Any]]
"""Sends a Query of the index of perceptual hashes, with the given arguments, and returns its response."""

_THREADS = 8
"""As many as the client keeps connections."""
_MAX_FOUND = 10_000
"""Near hashes that are kept, far more than a caller may ask for."""


class _Reader:
    """Reads ranges of the index until MAX_ENTRIES have been read, all ranges together."""

    def __init__(self, run_query: RunQuery) -> None:
        self._run_query = run_query
        self.entries: list[tuple[str, str]] = []
        self.is_cut = False

    def read(self, part: HashRange) -> None:
        """Read a range. May be called by several threads."""
        values = {"group": part.group, "low": part.low, "high": part.high}
        arguments: dict[str, Any] = {
            "KeyConditionExpression": "similar_group = :group AND similar_hash BETWEEN :low AND :high",
            "ExpressionAttributeValues": {f":{name}": to_value(value) for name, value in values.items()},
            "ProjectionExpression": "id, similar_hash",
        }
        while len(self.entries) < MAX_ENTRIES:
            response = self._run_query(**arguments)
            self.entries += [
                (hash_of(item["similar_hash"]["S"]), item["id"]["S"]) for item in response["Items"]
            ]
            if "LastEvaluatedKey" not in response:
                return
            arguments["ExclusiveStartKey"] = response["LastEvaluatedKey"]
        self.is_cut = True


def find_near(
    run_query: RunQuery, count: Callable[[], int], wanted: int, distance: int
) -> tuple[list[Near], bool]:
    """The nearest hashes within ``distance``, and whether these are all. ``count`` returns the approximate
    number of entries."""
    radius = radius_for(count())
    reader = _Reader(run_query)
    with ThreadPoolExecutor(_THREADS) as executor:
        list(executor.map(reader.read, ranges_around(wanted, radius)))
    is_complete = is_exact(radius, distance) and not reader.is_cut
    return nearest(reader.entries, wanted, distance, _MAX_FOUND), is_complete
