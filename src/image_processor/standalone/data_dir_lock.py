"""Keeps two servers, or a server and a command that replaces the catalog, from one data directory."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Self

from image_processor.domain.errors import Unavailable

_CANNOT_LOCK_DIRECTORIES = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP})
"""NFS takes locks on files that are open for writing only, which a directory cannot be."""


WRITABLE_DIRECTORY = "set --data or IMAGE_PROCESSOR_DATA to a directory that this user may write to"
"""What to do about a data directory that cannot be opened."""


class DataDirLock:
    """Holds the lock of the directory ``data``, which is created if missing. A context manager.

    The directory itself is locked: it cannot be deleted while it has files, as a lock file can. The file
    `server.lock` in it is locked, too, for file systems without locks on directories, and because version 0.1
    locks nothing else. The kernel releases both if this process is killed. Raises Unavailable if another
    process holds one of them; ``fix`` ends the message.
    """

    def __init__(self, data: Path, fix: str = "") -> None:
        self._data = data
        self._fix = fix
        self._descriptors: list[int] = []
        try:
            data.mkdir(parents=True, exist_ok=True)
            self._descriptors.append(os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            lock_file = data / "server.lock"
            self._descriptors.append(os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
            self._lock()
        except OSError as error:
            self._close()
            raise Unavailable(
                f"cannot open the data directory {data}: {error.strerror}; {WRITABLE_DIRECTORY}"
            ) from error
        except Unavailable:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def trouble(self) -> str | None:
        """Why the lock does not protect the directory any more: another one has its path. None if all is
        well.

        Anybody can read it in /health, so it has only the directory's name.
        """
        name = self._data.name
        try:
            if os.path.samestat(self._data.stat(), os.fstat(self._descriptors[0])):
                return None
        except OSError as error:
            return f"the data directory {name} cannot be reached: {error.strerror}"
        return f"the data directory {name} was replaced while the server was running: start it again"

    def _lock(self) -> None:
        for descriptor in self._descriptors:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable(f"a server already works on {self._data}{self._fix}") from None
            except OSError as error:
                if descriptor != self._descriptors[0] or error.errno not in _CANNOT_LOCK_DIRECTORIES:
                    raise

    def _close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
