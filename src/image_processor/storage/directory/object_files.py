"""Directory store: which file holds a key's object, and where a new file goes.

A key has up to two candidate paths, always tried in this order: its own name, then the encoded
path. An object stays at its path until it is deleted, so concurrent readers always find it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from image_processor.domain.errors import Refused
from image_processor.domain.ports import Entry

from .paths import Segments, encoded_path, plain_path
from .private_folder import PrivateFolder, TemporaryFile
from .root_folder import LINK_ERRORS, NAME_TAKEN_OR_INVALID, RootFolder

# Folders are opened from the root down each time, which is quadratic in depth: 512 levels, the most
# that a key can have, would take most of a second to list.
_MAX_DEPTH = 64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The range of datetime. A file's time can lie far outside.
_MIN_MICROS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MAX_MICROS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


class ObjectFile(Struct, frozen=True):
    """An object's file: the path of the file (or of the link to it), its entry, and its exact time."""

    path: Segments
    entry: Entry
    mtime_ns: int


def entry_from_stat(key: str, file: os.stat_result) -> Entry:
    """The entry of a file. Its version is made of mtime and size, so `cp -a` preserves it."""
    mtime_ns, size = file.st_mtime_ns, file.st_size
    micros = mtime_ns // 1000
    if not _MIN_MICROS <= micros <= _MAX_MICROS:
        micros = min(max(micros, _MIN_MICROS), _MAX_MICROS)
    # By position: a listing makes millions.
    return Entry(key, size, f"{mtime_ns:x}-{size:x}", _EPOCH + micros * _MICROSECOND)


class ObjectFiles:
    """The files of objects, by key. Callers of methods that write hold PrivateFolder.lock.

    Methods raise OSError, and Refused(OUTSIDE_ROOT) as RootFolder does.
    """

    def __init__(self, root: RootFolder, private: PrivateFolder) -> None:
        self._root = root
        self._private = private

    def find(self, key: str) -> ObjectFile | None:
        """The object's file, or None if there is no object."""
        for path in self._candidates(key):
            file = self._root.stat(path)
            if file is not None and stat.S_ISREG(file.st_mode):
                return ObjectFile(path, entry_from_stat(key, file), file.st_mtime_ns)
        return None

    def open(self, key: str) -> int | None:
        """A file descriptor of the object's file, or None if there is no object."""
        opened = (self._root.open(path) for path in self._candidates(key))
        return next((file for file in opened if file is not None), None)

    def install(self, key: str, written: TemporaryFile, current: ObjectFile | None) -> Segments:
        """Rename a written file over the ``current`` object, or to the first candidate path that the
        file system accepts. Returns the folder that changed."""
        if current is not None:
            return self._move(written, current.path)
        *plain, encoded = self._candidates(key)
        for path in plain:
            # A folder or a FIFO may have the name.
            if len(path) > _MAX_DEPTH or self._root.stat(path) is not None:
                continue
            try:
                return self._move(written, path)
            except OSError as error:
                self._root.prune(path[:-1])
                if error.errno not in NAME_TAKEN_OR_INVALID:
                    raise
        return self._move(written, encoded)

    def exists(self, key: str) -> bool:
        """Whether `delete` would delete anything."""
        return any(self._is_object(path) for path in self._candidates(key))

    def delete(self, key: str) -> None:
        """Delete the object, and parent folders that become empty. Deletes a link, never its target."""
        # The encoded path first: if both have a file, the second must not become visible.
        for path in reversed(self._candidates(key)):
            if self._is_object(path):
                folder = self._root.resolve(path[:-1])
                with suppress(FileNotFoundError), self._root.folder(folder) as opened:
                    os.unlink(path[-1], dir_fd=opened)
                self._root.prune(folder)

    def _candidates(self, key: str) -> tuple[Segments, ...]:
        plain = plain_path(key.encode(), self._root.path)
        return (encoded_path(key),) if plain is None else (plain, encoded_path(key))

    def _is_object(self, path: Segments) -> bool:
        self._root.resolve(path[:-1])
        try:
            file = self._root.stat(path)
        except Refused:
            return True  # a link that leads out of the root is listed, so it can be deleted
        return file is not None and stat.S_ISREG(file.st_mode)

    def _move(self, written: TemporaryFile, path: Segments) -> Segments:
        """Tries without resolving first, because most paths contain no link."""
        try:
            self._private.move(written, path)
        except OSError as error:
            if error.errno not in LINK_ERRORS:
                raise
        else:
            return path[:-1]
        folder = self._root.resolve(path[:-1])
        self._private.move(written, (*folder, path[-1]))
        return folder
