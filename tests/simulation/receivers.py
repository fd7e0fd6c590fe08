"""Who is told about outcomes: a receiver of events, and a CDN that keeps what it has fetched until it is
invalidated. Each must have heard of everything in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from image_processor.domain.keys import original_of
from image_processor.domain.models import OutboxMessage, Record
from image_processor.ingest.outbox import outcome_id
from image_processor.renditions.freshness import is_on_demand

PAUSE = 180.0
"""Seconds until a batch of invalidations is delivered again: the visibility timeout of its queue."""


class Receivers:
    """What the receiver has heard, and what the CDN keeps.

    In the worst case somebody requests each object as soon as it is stored or invalidated.
    """

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.kept: dict[str, bytes] = {}
        self.waiting: dict[str, str] = {}
        self._sent = 0

    def receive(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            self.events[message.id] = json.loads(message.body)

    def queue_invalidations(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            self._sent += 1
            self.waiting[f"i{self._sent}"] = json.dumps({"id": message.id, "key": message.key})

    def stored(self, key: str, body: bytes) -> None:
        self.kept.setdefault(key, body)

    def invalidate(self, paths: Iterable[str], stored: dict[str, bytes]) -> None:
        for path in paths:
            prefix = unquote(path[1:-1])
            for key in [key for key in self.kept if key.startswith(prefix)]:
                del self.kept[key]
                if key in stored:
                    self.kept[key] = stored[key]

    def problems(
        self,
        records: Iterable[Record],
        stored: dict[str, bytes],
        lazy: Container[str],
        *,
        are_ordered: bool = True,
    ) -> list[str]:
        """Final outcomes that nobody heard of, and what the CDN keeps although it has changed. ``lazy`` are
        the keys of renditions that views may have made. Unless events ``are_ordered`` by their time, the last
        one of a key is not judged."""
        known = {record.key: record for record in records}
        wrong = [
            f"no event of the final outcome of {key!r}"
            for key, record in known.items()
            if outcome_id(replace(record, revision=record.revision - 1)) not in self.events
        ]
        last: dict[str, dict[str, Any]] = defaultdict(dict)
        for event in sorted(self.events.values(), key=lambda event: str(event["timestamp"])):
            last[event["data"]["key"]] = event
        wrong += [
            f"no event of the deletion of {key!r}"
            for key, event in last.items()
            if are_ordered and key not in known and event["type"] != "image.deleted"
        ]
        # Not invalidated: what a request stores too late, and what reconcile itself deletes: on-demand
        # renditions, and orphans under the hashed prefix of a long key. The CDN keeps it for its max-age.
        wrong += [
            f"the CDN keeps old bytes of {key!r}"
            for key, body in self.kept.items()
            if stored.get(key) != body
            and not (is_on_demand(key) or key in lazy or _is_nameless_orphan(key, stored))
        ]
        return sorted(wrong)


def _is_nameless_orphan(key: str, stored: dict[str, bytes]) -> bool:
    return key not in stored and original_of(key[: key.rfind("/") + 1]) is None
