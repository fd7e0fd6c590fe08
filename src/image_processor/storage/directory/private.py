"""Directory store: the private folder. Temporary files, the lock that is also the clock of
versions, and the attributes beside each object.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from msgspec import Struct, to_builtins

from image_processor.domain.ports import Attributes

from .layout import NOT_HERE, PRIVATE, Root, Segments

_PRIVATE = os.fsencode(PRIVATE)
_TEMPORARY = (_PRIVATE, b"tmp")
_ATTRIBUTES = (_PRIVATE, b"attributes")
_LOCK = b"lock"

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SHARED = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_ORDINARY = 0o666
"""Permission bits before the umask: an object is as readable as a file that a user drops."""

# Nanoseconds to add until a file system that keeps coarser times shows a new one: 1 ns, 100 ns
# (NTFS), 1 us, 1 ms, 1 s (HFS+), 2 s (FAT); each twice, for one value may have to be avoided.
_STEPS = (0, *(step * times for step in (1, 100, 10**3, 10**6, 10**9, 2 * 10**9) for times in (1, 2)))


class Temporary(Struct, frozen=True):
    """A file that is being written: its open descriptor and its name in the temporary folder."""

    file: int
    name: bytes


class PrivateFolder:
    """What the store keeps for itself under the root. Made on the first write, never by a read."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._cleaning = Lock()
        self._clean = False

    def prepare(self) -> None:
        """Make the folder; the first time, remove what killed processes left in it."""
        with self._cleaning, self._root.folder(_TEMPORARY, make=True) as folder:
            if not self._clean:
                _remove_abandoned(folder)
                self._clean = True

    @contextmanager
    def temporary(self) -> Iterator[Temporary]:
        """A new empty file, gone at the end unless it was moved away.

        It is locked as long as it is open; the system drops the lock with the process, so
        whoever gets the lock knows that the writer is dead, in any container and for any pid.
        """
        with self._root.folder(_TEMPORARY, make=True) as folder:
            temporary = _create(folder)
            try:
                yield temporary
            finally:
                os.close(temporary.file)
                with suppress(FileNotFoundError):
                    os.unlink(temporary.name, dir_fd=folder)

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the store against every other writer, of this process or another.

        One lock for the whole store, held for a few system calls without any byte of an
        object: links make two keys one object and `a` decides where `a/b` can lie, so locks by
        key would have to be taken in sets.
        """
        with self._root.folder((_PRIVATE,)) as folder:
            lock = os.open(_LOCK, _SHARED, _ORDINARY, dir_fd=folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def move(self, temporary: Temporary, target: Segments) -> None:
        """Give a temporary file its final place, over what is there; makes missing folders."""
        with (
            self._root.folder(_TEMPORARY) as source,
            self._root.folder(target[:-1], make=True) as folder,
        ):
            os.rename(temporary.name, target[-1], src_dir_fd=source, dst_dir_fd=folder)

    def attributes(self, key: str) -> dict[str, Attributes]:
        """The attributes known of a key, by version. Empty where a user dropped the file."""
        *folders, name = _sidecar(key)
        try:
            with self._root.folder(tuple(folders)) as folder:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            if error.errno in NOT_HERE:
                return {}
            raise
        with os.fdopen(file, "rb") as stream:
            return _parse(stream.read())

    def keep_attributes(self, key: str, versions: dict[str, Attributes]) -> None:
        """Replace what is known of a key, in one step."""
        kept = {version: to_builtins(attributes) for version, attributes in versions.items()}
        with self.temporary() as temporary:
            write_all(temporary.file, json.dumps({"key": key, "versions": kept}).encode())
            self.move(temporary, _sidecar(key))

    def drop_attributes(self, key: str) -> None:
        *folders, name = _sidecar(key)
        with suppress(FileNotFoundError), self._root.folder(tuple(folders)) as folder:
            os.unlink(name, dir_fd=folder)


def stamp(lock: int, file: int, *, avoid: int | None) -> os.stat_result:
    """Give a file a modification time that the store never gave before, and not ``avoid``.

    The last one given is kept as the lock file's own time, so versions do not repeat after a
    delete, within one tick of a coarse clock, or when the system clock is set back.
    """
    last = os.fstat(lock).st_mtime_ns
    now = max(time.time_ns(), last + 1)
    for step in _STEPS:
        os.utime(file, ns=(now + step, now + step))
        stamped = os.fstat(file)
        if stamped.st_mtime_ns > last and stamped.st_mtime_ns != avoid:
            break
    os.utime(lock, ns=(stamped.st_mtime_ns, stamped.st_mtime_ns))
    return stamped


def write_all(file: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(file, rest) :]


def _create(folder: int) -> Temporary:
    while True:
        name = os.fsencode(uuid.uuid4().hex)
        file = os.open(name, _NEW, _ORDINARY, dir_fd=folder)
        if _lock_now(file) and os.fstat(file).st_nlink:
            return Temporary(file, name)
        # Another process was cleaning up and took the file for abandoned before it was locked.
        os.close(file)


def _remove_abandoned(folder: int) -> None:
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                if _lock_now(file):
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(file)


def _lock_now(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sidecar(key: str) -> Segments:
    digest = os.fsencode(hashlib.sha256(key.encode()).hexdigest())
    return (*_ATTRIBUTES, digest[:2], digest[2:] + b".json")


def _parse(text: bytes) -> dict[str, Attributes]:
    """What a sidecar says; nothing where a power cut left it empty or a user edited it badly."""
    try:
        versions = json.loads(text)["versions"]
        return {version: Attributes(**fields) for version, fields in versions.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
