"""Directory store: the private folder `.image-processor/` under the root.

It holds temporary files, the lock file (whose mtime is the last version assigned), and a JSON
sidecar with the attributes of each key.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

import msgspec
from msgspec import Struct

from image_processor.domain.ports import Attributes

from .paths import PRIVATE_FOLDER, Segments
from .root_folder import NOT_FOUND_ERRORS, RootFolder

_PRIVATE = os.fsencode(PRIVATE_FOLDER)
_TEMPORARY = (_PRIVATE, b"tmp")
_ATTRIBUTES = (_PRIVATE, b"attributes")
_LOCK = b"lock"

_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o666
"""Permission bits before the umask: the same as those of a file that a user creates."""

# Nanoseconds to add until a file system with coarser timestamps shows a new value: 1 ns, 100 ns
# (NTFS), 1 us, 1 ms, 1 s (HFS+), 2 s (FAT). Twice each, because one value may have to be avoided.
_STEPS = (0, *(step * times for step in (1, 100, 10**3, 10**6, 10**9, 2 * 10**9) for times in (1, 2)))


class TemporaryFile(Struct, frozen=True):
    """A file being written: its file descriptor, and its name in the open temporary ``folder``."""

    fd: int
    folder: int
    name: bytes


class Sidecar(Struct, frozen=True):
    """The JSON file with the attributes of ``key``, by version. During a `put` it holds those of the
    old and the new version."""

    key: str
    versions: dict[str, Attributes]


class PrivateFolder:
    """The store's own files. Created on the first write, never by a read. Methods raise OSError."""

    def __init__(self, root: RootFolder) -> None:
        self._root = root
        self._cleanup = Lock()
        self._is_clean = False

    def prepare(self) -> None:
        """Create the folder. The first call also removes temporary files of killed processes."""
        with self._temporary_folder():
            pass

    @contextmanager
    def temporary_file(self) -> Iterator[TemporaryFile]:
        """A new empty file, deleted at the end unless `move` has moved it away. Prepares the folder.

        It is locked while it is open. The kernel releases the lock when the process ends, so a
        process that gets the lock knows that the writer is dead, across containers too.
        """
        with self._temporary_folder() as folder, _new_file(folder) as temporary:
            yield temporary

    @contextmanager
    def _temporary_folder(self) -> Iterator[int]:
        with self._root.folder(_TEMPORARY, make=True) as folder:
            with self._cleanup:
                if not self._is_clean:
                    _remove_abandoned(folder)
                    self._is_clean = True
            yield folder

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Exclude every other writer, of this process or another. Yields the lock's descriptor.

        There is one lock for the whole store, held for a few system calls and never while bytes of
        an object are written. A lock per key would not do: links make two keys one object, and
        the file `a` decides where `a/b` can lie.
        """
        with self._root.folder((_PRIVATE,)) as folder:
            lock = os.open(_LOCK, _LOCK_FLAGS, _FILE_MODE, dir_fd=folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def move(self, temporary: TemporaryFile, target: Segments) -> None:
        """Rename a temporary file to ``target``, replacing what is there. Creates missing folders."""
        with self._root.folder(target[:-1], make=True) as folder:
            os.rename(temporary.name, target[-1], src_dir_fd=temporary.folder, dst_dir_fd=folder)

    def read_attributes(self, key: str) -> dict[str, Attributes]:
        """The stored attributes of a key, by version. Empty if a user created the file."""
        *folders, name = _sidecar_path(key)
        try:
            with self._root.folder(tuple(folders)) as folder:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            if error.errno in NOT_FOUND_ERRORS:
                return {}
            raise
        with os.fdopen(file, "rb") as stream:
            return _decode(stream.read())

    def write_attributes(self, key: str, versions: dict[str, Attributes], written: TemporaryFile) -> None:
        """Replace the stored attributes of a key atomically, by a file in the folder of ``written``."""
        with _new_file(written.folder) as temporary:
            write_all(temporary.fd, msgspec.json.encode(Sidecar(key, versions)))
            self.move(temporary, _sidecar_path(key))

    def delete_attributes(self, key: str) -> None:
        """Delete the stored attributes of a key, if there are any."""
        *folders, name = _sidecar_path(key)
        with suppress(FileNotFoundError), self._root.folder(tuple(folders)) as folder:
            os.unlink(name, dir_fd=folder)


def assign_mtime(lock: int, file: int, *, avoid: int | None) -> os.stat_result:
    """Set a file's modification time to one that the store has never assigned and that is not
    ``avoid`` (nanoseconds). Returns the file's new stat result.

    The last time assigned is stored as the mtime of the ``lock`` file, so versions do not repeat
    after a delete, within one tick of a coarse clock, or when the system clock is set back.
    """
    last = os.fstat(lock).st_mtime_ns
    now = max(time.time_ns(), last + 1)
    for step in _STEPS:
        os.utime(file, ns=(now + step, now + step))
        result = os.fstat(file)
        if result.st_mtime_ns > last and result.st_mtime_ns != avoid:
            break
    os.utime(lock, ns=(result.st_mtime_ns, result.st_mtime_ns))
    return result


def write_all(file: int, body: bytes) -> None:
    """Write ``body`` to a file descriptor, in several calls if the system takes less at once."""
    remaining = memoryview(body)
    while remaining:
        remaining = remaining[os.write(file, remaining) :]


@contextmanager
def _new_file(folder: int) -> Iterator[TemporaryFile]:
    temporary = _create(folder)
    try:
        yield temporary
    finally:
        os.close(temporary.fd)
        with suppress(FileNotFoundError):
            os.unlink(temporary.name, dir_fd=folder)


def _create(folder: int) -> TemporaryFile:
    while True:
        name = os.urandom(16).hex().encode()
        file = os.open(name, _CREATE_FLAGS, _FILE_MODE, dir_fd=folder)
        if _try_lock(file) and os.fstat(file).st_nlink:
            return TemporaryFile(file, folder, name)
        # Another process was cleaning up and deleted the file before it was locked.
        os.close(file)


def _remove_abandoned(folder: int) -> None:
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                if _try_lock(file):
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(file)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sidecar_path(key: str) -> Segments:
    digest = os.fsencode(hashlib.sha256(key.encode()).hexdigest())
    return (*_ATTRIBUTES, digest[:2], digest[2:] + b".json")


def _decode(sidecar: bytes) -> dict[str, Attributes]:
    """The attributes in a sidecar. Empty if a power cut truncated it or a user damaged it."""
    try:
        return msgspec.json.decode(sidecar, type=Sidecar).versions
    except ValueError:  # malformed, of another type, or not UTF-8
        return {}
