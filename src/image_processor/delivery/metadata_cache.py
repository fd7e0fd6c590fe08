"""Delivery: what is known of an original: remembered, on record, or read from its header."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from image_processor.domain.models import ImageMetadata

from .on_demand import RenditionRepository

_REMEMBERED = 10_000
"""Originals whose facts are remembered, some 500 bytes each."""


class MetadataCache:
    """Callable with a key. ``read`` takes key and version where nothing is on record. Safe for threads."""

    def __init__(self, kept: RenditionRepository, read: Callable[[str, str], ImageMetadata]) -> None:
        self._kept = kept
        self._read = read
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], ImageMetadata] = OrderedDict()

    def __call__(self, key: str) -> ImageMetadata:
        """The facts of the original as it is now. Raises NotFound, Refused, and what ``read`` does."""
        version = self._kept.version(key)
        place = (key, version)
        with self._lock:
            if place in self._known:
                self._known.move_to_end(place)
                return self._known[place]
        record = self._kept.record(key, version)
        facts = record.original if record is not None else None
        facts = facts or self._read(key, version)
        with self._lock:
            self._known[place] = facts
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return facts
