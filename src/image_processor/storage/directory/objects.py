"""Directory store: which file is a key's object, and where a new one goes.

A key has up to two places, asked in this order by everyone: its own name, and the odd folder.
An object stays where it is until it is deleted, so nobody finds it in neither.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from image_processor.domain.errors import Refused
from image_processor.domain.ports import Entry

from .layout import NOT_PLAIN, Root, Segments, odd_segments
from .private import PrivateFolder, Temporary

# Folders are opened from the root down each time, which is quadratic in depth: 512 levels, as
# many as a key can have, take most of a second to list.
_DEPTH_MAX = 64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# What datetime can say; a file's time can lie far outside.
_EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


class Found(Struct, frozen=True):
    """An object: where its file (or the link to it) lies, its entry and exact time."""

    path: Segments
    entry: Entry
    mtime_ns: int


def entry_of(key: str, file: os.stat_result) -> Entry:
    """The entry of a file. Its version is made of time and size, so it survives `cp -a`."""
    microseconds = min(max(file.st_mtime_ns // 1000, _EARLIEST), _LATEST)
    return Entry(
        key=key,
        size=file.st_size,
        version=f"{file.st_mtime_ns:x}-{file.st_size:x}",
        modified=_EPOCH + microseconds * _MICROSECOND,
    )


class Objects:
    """Objects by key. Methods raise OSError, and Refused(OUTSIDE_ROOT) as Root does; whoever
    writes holds the store's lock."""

    def __init__(self, root: Root, private: PrivateFolder) -> None:
        self._root = root
        self._private = private

    def find(self, key: str) -> Found | None:
        for path in self._places(key):
            file = self._root.look(path)
            if file is not None and stat.S_ISREG(file.st_mode):
                return Found(path, entry_of(key, file), file.st_mtime_ns)
        return None

    def open(self, key: str) -> int | None:
        """A descriptor of the object's file, None if there is no object."""
        opened = (self._root.open(path) for path in self._places(key))
        return next((file for file in opened if file is not None), None)

    def place(self, key: str, written: Temporary, current: Found | None) -> Segments:
        """Move a written file over the current object, or to the first place that can hold it.

        Returns the folder that has changed.
        """
        if current is not None:
            return self._move(written, current.path)
        *plain, odd = self._places(key)
        for path in plain:
            # A folder or a FIFO: the name is taken by what is no object.
            if len(path) > _DEPTH_MAX or self._root.look(path) is not None:
                continue
            try:
                return self._move(written, path)
            except OSError as error:
                self._root.prune(path[:-1])
                if error.errno not in NOT_PLAIN:
                    raise
        return self._move(written, odd)

    def present(self, key: str) -> bool:
        """Whether `remove` would remove anything."""
        return any(self._is_object(path) for path in self._places(key))

    def remove(self, key: str) -> None:
        """Remove the object, and parent folders that it leaves empty. A link is removed, never
        what it leads to."""
        # The odd place first: where both hold a file, the second must not show through.
        for path in reversed(self._places(key)):
            if self._is_object(path):
                folder = self._root.resolve(path[:-1])
                with suppress(FileNotFoundError), self._root.folder(folder) as opened:
                    os.unlink(path[-1], dir_fd=opened)
                self._root.prune(folder)

    def _places(self, key: str) -> tuple[Segments, ...]:
        plain = self._root.plain(key.encode())
        return (odd_segments(key),) if plain is None else (plain, odd_segments(key))

    def _is_object(self, path: Segments) -> bool:
        self._root.resolve(path[:-1])
        try:
            file = self._root.look(path)
        except Refused:
            return True  # a link that leads out is listed as an object, so it can be deleted
        return file is not None and stat.S_ISREG(file.st_mode)

    def _move(self, written: Temporary, path: Segments) -> Segments:
        folder = self._root.resolve(path[:-1])
        self._private.move(written, (*folder, path[-1]))
        return folder
