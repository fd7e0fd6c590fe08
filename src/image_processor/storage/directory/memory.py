"""Directory store: what has been seen of objects, so that a second look costs one system call.

Nothing is believed that the file itself does not confirm: another file, another length, any write or
change of attributes shows in what `stat` says.
"""

from __future__ import annotations

import os
from threading import Lock

from image_processor.domain.ports import StoredObject

_REMEMBERED = 10_000
"""Objects, about a kilobyte each."""

_Sign = tuple[int, int, int, int, int]


class Memory:
    """Objects without their bytes, by key, under the folder ``root``. Safe for threads.

    Only what lies under its own name is ever found again; what does not is looked for each time.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root + b"/"
        self._lock = Lock()
        self._seen: dict[str, tuple[_Sign, StoredObject]] = {}

    def recall(self, key: str) -> StoredObject | None:
        """What is known of ``key``, if its file is the same as then."""
        sign, stored = self._seen.get(key, (None, None))
        if stored is None:
            return None
        try:
            file = os.stat(self._root + key.encode())  # noqa: PTH116 - a Path takes four times as long
        except OSError:
            return None
        return stored if _sign(file) == sign else None

    def keep(self, stored: StoredObject, file: os.stat_result) -> None:
        """Remember an object by its file as it was before anything was read of it. The oldest memory
        goes where there are too many."""
        with self._lock:
            self._seen.pop(stored.entry.key, None)
            self._seen[stored.entry.key] = (_sign(file), stored)
            if len(self._seen) > _REMEMBERED:
                del self._seen[next(iter(self._seen))]


def _sign(file: os.stat_result) -> _Sign:
    # The time of the last change of any kind cannot be set by a program, as that of writing can.
    return (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
