"""Who is told about outcomes: a receiver of events, and a CDN that keeps what it has fetched until it is
invalidated. Each must have heard of everything in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from image_processor.domain.models import OutboxMessage, Record
from image_processor.ingest.outbox import outcome_id

PAUSE = 180.0
"""Seconds until a batch of invalidations is delivered again: the visibility timeout of its queue."""


class Receivers:
    """What the receiver has heard, and what the CDN keeps.

    In the worst case somebody requests each object as soon as it is stored or invalidated, each time at
    another place of the CDN, which then keeps these bytes as well.
    """

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.kept: dict[str, set[bytes]] = defaultdict(set)
        self.waiting: dict[str, str] = {}
        self._sent = 0
        self._references: set[str] = set()

    def receive(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            self.events[message.id] = json.loads(message.body)

    def queue_invalidations(self, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            self._sent += 1
            self.waiting[f"i{self._sent}"] = json.dumps({"id": message.id, "key": message.key})

    def stored(self, key: str, body: bytes) -> None:
        self.kept[key].add(body)

    def deleted_by_view(self, key: str, body: bytes) -> None:
        """A view deletes a rendition that it has stored after a change, or an old one to make room. A CDN
        that has fetched it keeps it for its max-age: that is no problem here."""
        self.kept[key].discard(body)

    def invalidate(self, paths: Iterable[str], reference: str, stored: dict[str, bytes]) -> None:
        """As CloudFront, which does nothing about a reference that it knows."""
        if reference in self._references:
            return
        self._references.add(reference)
        for path in paths:
            prefix = unquote(path[1:-1])
            for key in [key for key in self.kept if key.startswith(prefix)]:
                del self.kept[key]
                if key in stored:
                    self.kept[key].add(stored[key])

    def problems(
        self,
        records: Iterable[Record],
        stored: dict[str, bytes],
        *,
        are_ordered: bool = True,
    ) -> list[str]:
        """Final outcomes that nobody heard of, and what the CDN keeps although it has changed.
        Unless events ``are_ordered`` by their time, the last
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
        wrong += [
            f"the CDN keeps old bytes of {key!r}"
            for key, bodies in self.kept.items()
            if bodies - {stored.get(key)}
        ]
        return sorted(wrong)
