"""Embedded: how the server gets a rendition that is not there: what the recipe declares from the
workers of ingest, what only a URL asks for from the kitchen.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from image_processor.delivery.make import Kept, Made, Maker
from image_processor.delivery.wanted import Wanted
from image_processor.errors import Unavailable
from image_processor.model import Facts, Kind, Outcome, Upload

from .kitchen import Kitchen
from .shelf import Shelf

_PATIENCE = 30.0
"""Seconds that a header is waited for."""


class Orders:
    """``submit`` queues work of ingest. Methods may be called from any thread."""

    def __init__(
        self,
        kept: Kept,
        kitchen: Kitchen[Any],
        shelf: Shelf,
        submit: Callable[[Upload], Future[Outcome]],
    ) -> None:
        self._kept = kept
        self._shelf = shelf
        self._kitchen = kitchen
        self._submit = submit

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
        return result if isinstance(result, Made) else self._kept.taken(wanted, result)

    def shown(self, wanted: Wanted) -> None:
        """Note that a stored rendition was of use, so that it is kept the longer."""
        if not wanted.declared:
            self._shelf.shown(wanted.stored_key)

    def facts_of(self, key: str, version: str) -> Facts:
        """What the header of the original says. Raises NotFound, Refused, Overloaded, Unavailable."""
        order = self._kitchen.order(f"{key}/?", lambda maker: maker.facts(key, version))
        try:
            facts: Facts = order.result(_PATIENCE)
        except TimeoutError:
            raise Unavailable(f"the header of {key!r} has not been read yet") from None
        return facts

    def _made(self, maker: Maker, wanted: Wanted) -> Made:
        """Look again: whoever asked before may have got it in the meantime."""
        stored = self._kept.look(wanted)
        if stored is not None:
            return Made(stored, {})
        made = maker.make(wanted)
        self._shelf.put(made.stored.entry)
        return made
