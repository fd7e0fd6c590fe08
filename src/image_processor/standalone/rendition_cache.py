"""Bounds the bytes of on-demand renditions: the least recently used are evicted first. An evicted
rendition is rendered again on its next request.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from image_processor.domain.ports import Entry


class RenditionCache:
    """Tracks the size and last use of on-demand renditions, and evicts the oldest above ``max_bytes``.

    ``stored`` lists the renditions of earlier runs and is called once; ``delete`` deletes one by its
    key. Methods may be called from any thread.
    """

    def __init__(
        self, max_bytes: int, stored: Callable[[], Iterable[Entry]], delete: Callable[[str], None]
    ) -> None:
        self._max_bytes = max_bytes
        self._stored = stored
        self._delete = delete
        self._lock = Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        self._filled = False

    def touch(self, key: str) -> None:
        """Mark a rendition as used now."""
        with self._lock:
            if key in self._sizes:
                self._sizes.move_to_end(key)

    def put(self, entry: Entry) -> None:
        """Add a new rendition, and evict others if there is too much."""
        self._fill()
        with self._lock:
            self._add(entry.key, entry.size)
            evicted = list(self._evict(entry.key))
        for key in evicted:
            self._delete(key)

    def total(self) -> int:
        """Bytes of all renditions."""
        with self._lock:
            return self._total

    def _fill(self) -> None:
        """Add the renditions of earlier runs, ordered by when they were written: their last use is
        unknown."""
        with self._lock:
            if self._filled:
                return
            self._filled = True
            for entry in sorted(self._stored(), key=lambda entry: entry.modified):
                if entry.key not in self._sizes:
                    self._add(entry.key, entry.size)

    def _add(self, key: str, size: int) -> None:
        self._total += size - self._sizes.pop(key, 0)
        self._sizes[key] = size

    def _evict(self, newest: str) -> Iterable[str]:
        while self._total > self._max_bytes and next(iter(self._sizes)) != newest:
            key, size = self._sizes.popitem(last=False)
            self._total -= size
            yield key
