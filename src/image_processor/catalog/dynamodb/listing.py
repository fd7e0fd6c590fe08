"""DynamoDB catalog: a listing, merged from the partitions of the index of listings.

A first page of up to 100 records costs 17 queries of half a read unit, of which the last 16 are sent 8 at
a time, and then the reads of its records.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from image_processor.catalog.paging import has_text
from image_processor.domain.ports import Query

from .requests import query_arguments
from .schema import SHARD_NAMES, SHARDS, UNSHARDED

RunQuery = Callable[..., dict[str, Any]]
"""Sends a Query of the index of listings, with the given arguments, and returns its response."""

_THREADS = 8
"""As many as the client keeps connections."""

_SMALLEST_READ = 16
"""Entries of about 250 bytes that half a read unit covers."""

_GROWTH = 4
"""A filter leaves few entries of many, so each further read of a partition is longer."""


class _Partition:
    """The entries of one partition that have been read and not been used, newest first."""

    def __init__(self, arguments: dict[str, Any], limit: int, text: str) -> None:
        self._arguments = arguments | {"ScanIndexForward": False, "Limit": limit}
        self._text = text
        self.entries: deque[tuple[str, str]] = deque()
        self.is_exhausted = False

    @property
    def must_be_read(self) -> bool:
        return not self.entries and not self.is_exhausted

    def read(self, run_query: RunQuery) -> None:
        """Read the next entries: positions and ids."""
        response = run_query(**self._arguments)
        self.entries.extend(
            (item["position"]["S"], item["id"]["S"])
            for item in response["Items"]
            # DynamoDB's own `contains` would regard case; what is read costs the same either way.
            if not self._text or has_text(item["original_file"]["S"], self._text)
        )
        last = response.get("LastEvaluatedKey")
        self.is_exhausted = last is None
        self._arguments |= {"ExclusiveStartKey": last, "Limit": self._arguments["Limit"] * _GROWTH}


def newest_ids(run_query: RunQuery, query: Query, after: str | None, wanted: int) -> Iterator[str]:
    """The ids in the index that match a query after a position, newest first, of which the caller will use
    about ``wanted``."""
    share = max(_SMALLEST_READ, 2 * wanted // SHARDS)
    limits = {UNSHARDED: max(_SMALLEST_READ, wanted), **dict.fromkeys(SHARD_NAMES, share)}
    partitions = []
    for shelf, limit in limits.items():
        arguments = query_arguments(query, shelf, after)
        if arguments is None:
            return
        partitions.append(_Partition(arguments, limit, query.text))
    previous = after
    while first := _newest(partitions, run_query):
        position, id_ = first.entries.popleft()
        # While a record moves to its shard, two partitions may have it.
        if position != previous:
            yield id_
        previous = position


def _newest(partitions: list[_Partition], run_query: RunQuery) -> _Partition | None:
    """The partition with the newest unused entry. None if all are exhausted."""
    while unread := [partition for partition in partitions if partition.must_be_read]:
        # The unsharded partition first, because records move from it to the others: the other order could
        # miss one.
        if unread[0] is partitions[0]:
            unread.pop(0).read(run_query)
        with ThreadPoolExecutor(_THREADS) as executor:
            list(executor.map(lambda partition: partition.read(run_query), unread))
    return max(
        (partition for partition in partitions if partition.entries),
        key=lambda partition: partition.entries[0],
        default=None,
    )
