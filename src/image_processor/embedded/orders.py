"""Embedded: how the server gets a rendition that is not there: what the recipe declares from the
workers of ingest, what only a URL asks for from the kitchen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any

from image_processor.delivery.make import Kept, Made, Maker
from image_processor.delivery.wanted import Wanted
from image_processor.errors import NotFound, Refused, Unavailable
from image_processor.model import Facts, Kind, Outcome, Upload

from .kitchen import Kitchen

_REMEMBERED = 10_000
"""Originals whose facts are remembered, some 500 bytes each."""

_PATIENCE = 30.0
"""Seconds that a header is waited for."""


class Orders:
    """``submit`` queues work of ingest. Methods may be called from any thread."""

    def __init__(
        self, kept: Kept, kitchen: Kitchen[Any], submit: Callable[[Upload], Future[Outcome]]
    ) -> None:
        self._kept = kept
        self._kitchen = kitchen
        self._submit = submit
        self._lock = Lock()
        self._facts: OrderedDict[tuple[str, str], Facts] = OrderedDict()

    def place(self, wanted: Wanted) -> Future[Any]:
        """Have ``wanted`` made; `taken` says what came of it.

        Raises Overloaded, NotFound where there is no original.
        """
        if wanted.declared:
            self._kept.version(wanted.key)
            return self._submit(Upload(self._kept.bucket, wanted.key, Kind.RECONCILE))
        return self._kitchen.order(wanted.stored_key, lambda maker: self._made(maker, wanted))

    def taken(self, wanted: Wanted, result: Outcome | Made) -> Made:
        """The rendition out of what `place` promised. Raises Refused, NotFound."""
        if isinstance(result, Made):
            return result
        if result.record is not None and result.record.reason is not None:
            raise Refused(result.record.reason, result.record.message or "")
        stored = self._kept.look(wanted)
        if stored is None:
            raise NotFound(f"no rendition {wanted.stored_key!r}")
        return Made(stored, {})

    def facts_of(self, key: str) -> Facts:
        """What is known of the original as it is now; its header is read if nothing is.

        Raises NotFound, Refused, Overloaded, Unavailable.
        """
        place = (key, self._kept.version(key))
        with self._lock:
            if place in self._facts:
                self._facts.move_to_end(place)
                return self._facts[place]
        facts = self._look_up(*place)
        with self._lock:
            self._facts[place] = facts
            while len(self._facts) > _REMEMBERED:
                self._facts.popitem(last=False)
        return facts

    def _look_up(self, key: str, version: str) -> Facts:
        record = self._kept.record(key, version)
        if record is not None and record.original is not None:
            return record.original
        order = self._kitchen.order(f"{key}/?", lambda maker: maker.facts(key))
        try:
            facts: Facts = order.result(_PATIENCE)
        except TimeoutError:
            raise Unavailable(f"the header of {key!r} has not been read yet") from None
        return facts

    def _made(self, maker: Maker, wanted: Wanted) -> Made:
        """Look again: whoever asked before may have got it in the meantime."""
        stored = self._kept.look(wanted)
        return Made(stored, {}) if stored is not None else maker.make(wanted)
