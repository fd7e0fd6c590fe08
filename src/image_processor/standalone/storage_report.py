"""How many bytes the renditions take, by format. Counted by a thread, when somebody asks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.ports import Entry
from image_processor.domain.transformation import is_rendition_name

FRESH_SECONDS = 600.0
"""How long a count is shown. The next request after that starts another one."""

_PAGE = 2000
_PACE = 0.05
"""Seconds of pause after each page: counting a large library takes only a part of a core."""


class FormatStorage(Struct, frozen=True):
    """The stored renditions of one format."""

    renditions: int
    bytes: int


class StorageCount(Struct, frozen=True):
    """The stored renditions by format, as of ``counted_at`` (Unix seconds)."""

    formats: Mapping[str, FormatStorage]
    counted_at: float


def count_storage(entries: Iterable[Entry], pause: Callable[[], bool]) -> dict[str, FormatStorage] | None:
    """Count ``entries`` by format, which their names have. ``pause`` is called after each page. If it returns
    True, the count ends and None is returned."""
    numbers, sizes = Counter[str](), Counter[str]()
    for index, entry in enumerate(entries):
        name = entry.key.rpartition("/")[2]
        if is_rendition_name(name):
            format_ = name.rpartition("fm=")[2].partition(".")[0]
            numbers[format_] += 1
            sizes[format_] += entry.size
        if index % _PAGE == _PAGE - 1 and pause():
            return None
    return {name: FormatStorage(numbers[name], sizes[name]) for name in sizes}


class StorageReport:
    """The latest count of what ``entries`` lists. Methods may be called from any thread."""

    def __init__(
        self, entries: Callable[[], Iterable[Entry]], clock: Callable[[], float] = time.time
    ) -> None:
        self._entries = entries
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest: StorageCount | None = None

    def latest(self) -> StorageCount | None:
        """The latest count; None before the first. One that is older than FRESH_SECONDS is made again in the
        background."""
        with self._lock:
            latest = self._latest
            is_fresh = latest is not None and self._clock() - latest.counted_at < FRESH_SECONDS
            if not (is_fresh or self._stop.is_set() or (self._thread and self._thread.is_alive())):
                self._thread = threading.Thread(target=self._count, name="storage-report")
                self._thread.start()
        return latest

    def stop(self) -> None:
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _count(self) -> None:
        try:
            formats = count_storage(self._entries(), lambda: self._stop.wait(_PACE))
        except ImageProcessorError:
            return  # a store that is down: the next request tries again
        if formats is not None:
            self._latest = StorageCount(formats, self._clock())
