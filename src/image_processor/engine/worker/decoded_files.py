"""The pixels of decoded originals, kept by a server for all its isolated children: each uses what another one
has decoded.

They are in files without a name, which end with the process. A child gets descriptors of those of the
original that it renders, for reading only, and sends what it has decoded itself: it can write no file.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from image_processor.domain.ports import OriginalFile
from image_processor.engine.decoded_originals import DecodedOriginalKey

IDLE_SECONDS = 600.0
"""How long pixels are kept that nobody uses."""

_MAX_SHARE = 8
"""No pixels may take more than an eighth of all bytes: they would drop too many others."""

MAX_FILES = 256
"""Each takes a descriptor."""

_MAX_SEEN = 1000
"""Originals whose renditions are counted. Pixels are kept from the second rendition on, or where others wait
for the first: writing them takes a twentieth of a rendition's CPU time, and most originals of a large library
are asked for once."""

_MAX_PASSED = 8
"""How many files a child gets: an original is decoded to at most four sizes, but for pages of a TIFF."""

FileVersion = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of data and of the inode, in nanoseconds."""

_SETTLED_SECONDS = 2.0
"""How long ago a file must have changed. Its times are as coarse as the kernel's clock, some milliseconds,
and some file systems count whole seconds."""


def file_version(descriptor: int) -> FileVersion | None:
    """What changes with the bytes of a file, and when it is deleted; None where it has changed just now, and
    may do so again without another time."""
    state = os.fstat(descriptor)
    if abs(time.time() - state.st_ctime) <= _SETTLED_SECONDS:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


class DecodedFile:
    """Pixels in a file that is gone with the last reference to this object."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size

    def __del__(self) -> None:
        os.close(self.descriptor)


class DecodedCounts(Struct, frozen=True):
    """What is kept now, and how many renditions since the start were made of kept pixels (``found``), and of
    others (``decoded``)."""

    files: int = 0
    bytes: int = 0
    found: int = 0
    decoded: int = 0


class _Entry(Struct):
    """``keys`` are those of the original: a link is another name of one file."""

    file: DecodedFile
    keys: set[str]
    used_at: float


class DecodedFiles:
    """Pixels of at most ``max_bytes``, in at most ``max_files`` files in ``folder``. Where there are more,
    the ones used least recently are dropped; `expire` drops what nobody has used for IDLE_SECONDS. Methods
    may be called from any thread. ``has_room`` says whether the disk has room for what can be done without.
    ``is_awaited`` says whether requests wait for other renditions of an original, by its key."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        *,
        max_files: int = MAX_FILES,
        has_room: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_awaited: Callable[[str], bool] = lambda _: False
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._has_room = has_room
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[FileVersion, DecodedOriginalKey], _Entry] = OrderedDict()
        self._seen: OrderedDict[FileVersion, None] = OrderedDict()
        self._bytes = self._found = self._decoded = 0

    def of(self, original: OriginalFile) -> KeptPixels:
        """What is kept of ``original``, and what may be. Call it once for each rendition."""
        version = file_version(original.descriptor)
        found: dict[DecodedOriginalKey, DecodedFile] = {}
        with self._lock:
            was_seen = version is not None and self._was_seen(version)
            for (entry_version, key), entry in self._entries.items():
                if entry_version == version:
                    entry.keys.add(original.key)
                    found[key] = entry.file
        files = dict(list(found.items())[-_MAX_PASSED:])
        max_bytes = self._max_bytes // _MAX_SHARE if version else 0
        return KeptPixels(files, max_bytes, self, original, version, was_seen=was_seen)

    def is_kept(self, version: FileVersion, key: DecodedOriginalKey, size: int) -> bool:
        """Whether ``size`` bytes of pixels are kept."""
        with self._lock:
            entry = self._entries.get((version, key))
            return entry is not None and entry.file.size == size

    def put(
        self, version: FileVersion, key: DecodedOriginalKey, original_key: str, file: DecodedFile
    ) -> None:
        """Keep ``file``, and drop others if it is too much."""
        with self._lock:
            self._remove((version, key))
            self._entries[version, key] = _Entry(file, {original_key}, self._clock())
            self._bytes += file.size
            while self._bytes > self._max_bytes or len(self._entries) > self._max_files:
                self._remove(next(iter(self._entries)))

    def note_use(self, version: FileVersion | None, used: DecodedOriginalKey | None) -> None:
        """Count a rendition of the pixels under ``used``; None for one of pixels that were not kept."""
        with self._lock:
            if version is None or used is None:
                self._decoded += 1
                return
            self._found += 1
            if (entry := self._entries.get((version, used))) is not None:
                entry.used_at = self._clock()
                self._entries.move_to_end((version, used))

    def drop(self, original_key: str) -> None:
        """Drop the pixels of an original that is deleted, or has another version by now."""
        with self._lock:
            for at in [at for at, entry in self._entries.items() if original_key in entry.keys]:
                self._remove(at)

    def discard(self, version: FileVersion, key: DecodedOriginalKey) -> None:
        """Drop pixels that must not be kept after all."""
        with self._lock:
            self._remove((version, key))

    def expire(self) -> None:
        """Drop what nobody has used for IDLE_SECONDS."""
        with self._lock:
            since = self._clock() - IDLE_SECONDS
            for at in [at for at, entry in self._entries.items() if entry.used_at < since]:
                self._remove(at)

    def counts(self) -> DecodedCounts:
        with self._lock:
            return DecodedCounts(len(self._entries), self._bytes, self._found, self._decoded)

    def write(self, receive: Callable[[int | None], bool], size: int) -> DecodedFile | None:
        """A file of ``size`` bytes that ``receive`` writes to a descriptor; None where there is no room for
        them. ``receive`` is called in any case, and says whether it had room."""
        file = self._new_file()
        if file is None:
            receive(None)
            return None
        with file:
            has_all = receive(file.fileno()) and os.fstat(file.fileno()).st_size == size
            return _reopened(file.fileno(), size) if has_all else None

    def _was_seen(self, version: FileVersion) -> bool:
        """Whether ``version`` was asked for before."""
        was_seen = version in self._seen
        self._seen[version] = None
        self._seen.move_to_end(version)
        if len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)
        return was_seen

    def _new_file(self) -> IO[bytes] | None:
        """A file without a name; None where there is no room."""
        import tempfile  # noqa: PLC0415 - 5 ms of a function's cold start, which keeps no pixels

        if not self._has_room():
            return None
        with suppress(OSError):
            return tempfile.TemporaryFile(dir=self._folder, buffering=0)
        return None

    def _remove(self, at: tuple[FileVersion, DecodedOriginalKey]) -> None:
        entry = self._entries.pop(at, None)
        if entry is not None:
            self._bytes -= entry.file.size


def _reopened(descriptor: int, size: int) -> DecodedFile | None:
    """The same file, which cannot be written to by that descriptor; None without /proc."""
    try:
        return DecodedFile(os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC), size)
    except OSError:
        return None


class NewPixels(Struct, frozen=True):
    """Pixels that a child has decoded."""

    key: DecodedOriginalKey
    file: DecodedFile


class KeptPixels:
    """The pixels of one original while it is rendered. ``files`` are kept; new ones may have ``max_bytes``.
    ``version`` is None where it is not known. ``was_seen`` says whether it was rendered before."""

    def __init__(
        self,
        files: Mapping[DecodedOriginalKey, DecodedFile],
        max_bytes: int,
        owner: DecodedFiles,
        original: OriginalFile,
        version: FileVersion | None,
        *,
        was_seen: bool,
    ) -> None:
        self.files = files
        self.max_bytes = max_bytes
        self._owner = owner
        self._original = original
        self._version = version
        self._was_seen = was_seen

    def wants(self, key: DecodedOriginalKey, size: int) -> bool:
        """Whether new pixels are to be kept: others may need them, and nobody else has sent them."""
        if self._version is None or self._owner.is_kept(self._version, key, size):
            return False
        return self._was_seen or self._owner.is_awaited(self._original.key)

    def write(self, receive: Callable[[int | None], bool], size: int) -> DecodedFile | None:
        """As `DecodedFiles.write`."""
        return self._owner.write(receive, size)

    def finish(self, used: DecodedOriginalKey | None, new: NewPixels | None) -> None:
        """Count a rendition of the pixels under ``used``, or of others. Keep ``new`` ones, unless the
        original has changed or was deleted since it was opened."""
        self._owner.note_use(self._version, used)
        if not new or not self._version or not self._is_unchanged():
            return
        self._owner.put(self._version, new.key, self._original.key, new.file)
        if not self._is_unchanged():  # `drop` may have come before these were there
            self._owner.discard(self._version, new.key)

    def _is_unchanged(self) -> bool:
        return file_version(self._original.descriptor) == self._version
