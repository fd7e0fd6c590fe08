"""Directory store: metadata of files seen before, so that a repeated `head` costs one `stat` call.

A cached value is used only if device, inode, size, mtime and ctime are unchanged: every write and
every change of permissions or owner changes one of them.
"""

from __future__ import annotations

import errno
import os
from threading import Lock

from image_processor.domain.ports import StoredObject

_MAX_OBJECTS = 10_000
"""About a kilobyte of memory each."""

_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
"""preadv(2): fail if the bytes are not in memory. Elsewhere than on Linux a read may wait for the disk."""

# O_NONBLOCK: opening a FIFO that replaced the file must not block.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_Identity = tuple[int, int, int, int, int]


class StatCache:
    """Objects without their bytes, by key, for the folder ``root``. Safe for threads.

    Objects whose files do not have their keys as paths are never found in the cache.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root + b"/"
        self._lock = Lock()
        self._objects: dict[str, tuple[_Identity, StoredObject]] = {}

    def get(self, key: str) -> StoredObject | None:
        """The cached object, or None if it is unknown or its file has changed."""
        identity, stored = self._objects.get(key, (None, None))
        if stored is None:
            return None
        try:
            file = os.stat(self._root + key.encode())  # noqa: PTH116 - a Path takes four times as long
        except OSError:
            return None
        return stored if _identity(file) == identity else None

    def read(self, stored: StoredObject, start: int, stop: int) -> bytearray | None:
        """Bytes of the cached object ``stored``. None if it is unknown or its file has changed, and if the
        bytes are not in the kernel's page cache, or the file system does not say."""
        key = stored.entry.key
        identity, known = self._objects.get(key, (None, None))
        if known is None or known != stored:
            return None
        try:
            file = os.open(self._root + key.encode(), _FILE_FLAGS)
        except OSError:
            return None
        body = bytearray(stop - start)
        try:
            is_whole = os.preadv(file, [body], start, _NO_WAIT) == len(body)
            # Afterwards, so that a change in place is noticed too.
            if is_whole and _identity(os.fstat(file)) == identity:
                return body
        except OSError:
            pass
        finally:
            os.close(file)
        return None

    def put(self, stored: StoredObject, file: os.stat_result) -> None:
        """Remember an object. ``file`` is the stat result from before anything was read. Evicts the
        oldest object when the cache is full."""
        with self._lock:
            self._objects.pop(stored.entry.key, None)
            self._objects[stored.entry.key] = (_identity(file), stored)
            if len(self._objects) > _MAX_OBJECTS:
                del self._objects[next(iter(self._objects))]


def supports_cached_reads(file: int) -> bool:
    """Whether the file system of an open file supports reads that fail in place of waiting for a disk."""
    try:
        os.preadv(file, [bytearray(1)], 0, _NO_WAIT)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return True


def _identity(file: os.stat_result) -> _Identity:
    # Programs can set mtime, but not ctime.
    return (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
