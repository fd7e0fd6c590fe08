"""Bounds the bytes of on-demand renditions: the least recently used are evicted first. An evicted
rendition is rendered again on its next request.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.ports import Entry

_RETRY_SECONDS = 60.0
_CHUNK = 1000
"""How many renditions of earlier runs are added while the lock is held once."""

_log = logging.getLogger(__name__)


class RenditionCache:
    """Tracks the size and last use of on-demand renditions, and evicts the oldest above ``max_bytes``.

    ``stored`` lists all objects of earlier runs, which takes minutes in a large library: a thread calls it
    after the first `put`, and those of its keys that are ``evictable`` count once it is done. ``delete``
    deletes a rendition by its key. Methods may be called from any thread, and none of them waits for the
    listing but `stop`, which ends it.
    """

    def __init__(
        self,
        max_bytes: int,
        stored: Callable[[], Iterable[Entry]],
        evictable: Callable[[str], bool],
        delete: Callable[[str], None],
    ) -> None:
        self._max_bytes = max_bytes
        self._stored = stored
        self._evictable = evictable
        self._delete = delete
        self._lock = Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        self._used = Event()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="rendition-cache")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._used.set()
        self._thread.join()

    def touch(self, key: str) -> None:
        """Mark a rendition as used now."""
        with self._lock:
            if key in self._sizes:
                self._sizes.move_to_end(key)

    def put(self, entry: Entry) -> None:
        """Add a new rendition, and evict others if there is too much."""
        with self._lock:
            self._add(entry.key, entry.size)
        self._evict()
        self._used.set()

    def total(self) -> int:
        """Bytes of all renditions."""
        with self._lock:
            return self._total

    def fill(self) -> None:
        """Add the renditions of earlier runs, ordered by when they were written: their last use is unknown.
        They are older than all that this run has added. Raises what ``stored`` raises."""
        earlier = []
        for entry in self._stored():
            if self._stop.is_set():
                return
            if self._evictable(entry.key):
                earlier.append((entry.modified, entry.key, entry.size))
        earlier.sort(reverse=True)
        for start in range(0, len(earlier), _CHUNK):
            with self._lock:
                for _, key, size in earlier[start : start + _CHUNK]:
                    if key not in self._sizes:
                        self._add(key, size)
                        self._sizes.move_to_end(key, last=False)
        self._evict()

    def _run(self) -> None:
        self._used.wait()
        while not self._stop.is_set():
            try:
                self.fill()
            except ImageProcessorError as error:
                _log.warning("the renditions of earlier runs cannot be listed yet: %s", error)
                self._stop.wait(_RETRY_SECONDS)
            else:
                return

    def _add(self, key: str, size: int) -> None:
        self._total += size - self._sizes.pop(key, 0)
        self._sizes[key] = size

    def _evict(self) -> None:
        """Delete the oldest while there is too much. The newest stays, however large it is."""
        evicted = []
        with self._lock:
            while self._total > self._max_bytes and len(self._sizes) > 1:
                key, size = self._sizes.popitem(last=False)
                self._total -= size
                evicted.append(key)
        for key in evicted:
            if self._stop.is_set():
                return
            try:
                self._delete(key)
            except ImageProcessorError as error:
                _log.warning("%r cannot be evicted: %s", key, error)
