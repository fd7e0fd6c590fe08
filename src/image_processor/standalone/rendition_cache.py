"""Embedded: bounds what is kept of renditions on demand. The one least recently shown goes first; it
can be made again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from image_processor.domain.ports import Entry


class Shelf:
    """Knows the renditions on demand and when each was last shown, and drops the oldest while there are
    more than ``most`` bytes of them. ``stored`` lists those of earlier days, once; ``drop`` deletes one
    by its key. Methods may be called from any thread.
    """

    def __init__(self, most: int, stored: Callable[[], Iterable[Entry]], drop: Callable[[str], None]) -> None:
        self._most = most
        self._stored = stored
        self._drop = drop
        self._lock = Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        self._filled = False

    def shown(self, key: str) -> None:
        """Note that a rendition was of use just now."""
        with self._lock:
            if key in self._sizes:
                self._sizes.move_to_end(key)

    def put(self, entry: Entry) -> None:
        """Note a new rendition, and make room for it."""
        self._fill()
        with self._lock:
            self._note(entry.key, entry.size)
            gone = list(self._crowd(entry.key))
        for key in gone:
            self._drop(key)

    def total(self) -> int:
        """Bytes of all that is noted."""
        with self._lock:
            return self._total

    def _fill(self) -> None:
        """What lies there from before: the order of writing is the best guess at that of use."""
        with self._lock:
            if self._filled:
                return
            self._filled = True
            for entry in sorted(self._stored(), key=lambda entry: entry.modified):
                if entry.key not in self._sizes:
                    self._note(entry.key, entry.size)

    def _note(self, key: str, size: int) -> None:
        self._total += size - self._sizes.pop(key, 0)
        self._sizes[key] = size

    def _crowd(self, newest: str) -> Iterable[str]:
        while self._total > self._most and next(iter(self._sizes)) != newest:
            key, size = self._sizes.popitem(last=False)
            self._total -= size
            yield key
