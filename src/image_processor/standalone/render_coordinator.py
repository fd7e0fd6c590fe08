"""Embedded: how the server gets a rendition that is not there: what the recipe declares from the
workers of ingest, what only a URL asks for from the kitchen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any

from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.repository import RenderResult, RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.models import ImageMetadata, Outcome, Upload, UploadKind

from .render_pool import Kitchen
from .rendition_cache import Shelf

_REMEMBERED = 1000
"""Headers that are remembered until those who waited for them have asked again."""


class Pending(Exception):
    """A header has to be read first: ask again when ``order`` is done, whose error is yours."""

    def __init__(self, order: Future[Any]) -> None:
        super().__init__("a header is being read")
        self.order = order


class Orders:
    """``submit`` queues work of ingest. Methods may be called from any thread."""

    def __init__(
        self,
        kept: RenditionRepository,
        kitchen: Kitchen[Any],
        shelf: Shelf,
        submit: Callable[[Upload], Future[Outcome]],
    ) -> None:
        self._kept = kept
        self._shelf = shelf
        self._kitchen = kitchen
        self._submit = submit
        self._lock = Lock()
        self._headers: OrderedDict[tuple[str, str], ImageMetadata] = OrderedDict()

    def place(self, wanted: RenditionRef) -> Future[Any]:
        """Have ``wanted`` made; `taken` says what came of it.

        Raises Overloaded, NotFound where there is no original.
        """
        if wanted.declared:
            self._kept.original_version(wanted.key)
            return self._submit(Upload(self._kept.bucket, wanted.key, UploadKind.RECONCILE))
        return self._kitchen.order(wanted.stored_key, lambda maker: self._made(maker, wanted))

    def taken(self, wanted: RenditionRef, result: Outcome | RenderResult) -> RenderResult:
        """The rendition out of what `place` promised. Raises Refused, NotFound."""
        return result if isinstance(result, RenderResult) else self._kept.after_ingest(wanted, result)

    def shown(self, wanted: RenditionRef) -> None:
        """Note that a stored rendition was of use, so that it is kept the longer."""
        if not wanted.declared:
            self._shelf.shown(wanted.stored_key)

    def metadata_of(self, key: str, version: str) -> ImageMetadata:
        """What the header of the original says. Raises Pending where it has not been read: a thread
        that waited for it would be taken from those who ask for what is there. Raises Overloaded."""
        with self._lock:
            facts = self._headers.get((key, version))
        if facts is None:
            raise Pending(self._kitchen.order(f"{key}/?{version}", self._reading(key, version)))
        return facts

    def _reading(self, key: str, version: str) -> Callable[[OnDemandRenderer], None]:
        def read(maker: OnDemandRenderer) -> None:
            with self._lock:
                if (key, version) in self._headers:  # since it was asked for
                    return
            facts = maker.read_metadata(key, version)
            with self._lock:
                self._headers[key, version] = facts
                while len(self._headers) > _REMEMBERED:
                    self._headers.popitem(last=False)

        return read

    def _made(self, maker: OnDemandRenderer, wanted: RenditionRef) -> RenderResult:
        """Look again: whoever asked before may have got it in the meantime."""
        stored = self._kept.find(wanted)
        if stored is not None:
            return RenderResult(stored, {})
        made = maker.render(wanted)
        self._shelf.put(made.stored.entry)
        return made
