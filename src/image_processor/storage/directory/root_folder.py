"""Directory store: file access that cannot leave the root folder.

Symbolic links are resolved and checked first. The resolved path is then opened folder by folder
with O_NOFOLLOW, so a link created in between is not followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from image_processor.domain.errors import Reason, Refused, Unavailable

from .paths import Segments, is_private

_T = TypeVar("_T")

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that replaced the file must not block.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_INVALID_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.ELOOP})
LINK_ERRORS = frozenset({errno.ENOTDIR, errno.ELOOP})
"""What O_NOFOLLOW | O_DIRECTORY reports for a link: ENOTDIR on Linux, ELOOP elsewhere."""
NOT_FOUND_ERRORS = _INVALID_NAME | {errno.ENOENT}
"""Error numbers that mean that no file has this path."""
NAME_TAKEN_OR_INVALID = _INVALID_NAME | {errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
"""Error numbers that mean that the file system cannot store a key under its own name."""

_Visitor = Callable[[int, bytes, os.stat_result], _T]
"""Called with the open parent folder, the name in it, and the lstat result."""


class RootFolder:
    """The root folder, created if missing. All paths are relative to it, as Segments.

    Methods raise OSError, Refused(OUTSIDE_ROOT) for a link that leads out of the root or into the
    private folder, and Unavailable if the root itself cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = os.fsencode(path.resolve())
        self._name = path.resolve().name
        self._denied: set[Segments] = set()

    def is_first_denial(self, path: Segments) -> bool:
        """Whether the folder ``path`` is denied for the first time, so that it is logged once."""
        is_first = path not in self._denied
        self._denied.add(path)
        return is_first

    def resolve(self, path: Segments) -> Segments:
        """The same path with all links resolved."""
        requested = b"/".join((self.path, *path))
        real = os.path.realpath(requested)
        if real == requested:
            return path
        top, *below = real.removeprefix(self.path).split(b"/")
        inside = real.startswith(self.path) and top == b"" and not (below and is_private(below[0]))
        if not inside:
            key = b"/".join(path).decode(errors="replace")
            raise Refused(Reason.OUTSIDE_ROOT, f"expected a path inside the root for {key!r}, got a link out")
        return tuple(below)

    @contextmanager
    def folder(self, path: Segments, *, make: bool = False) -> Iterator[int]:
        """A file descriptor of a folder. Follows no link; ``make`` creates missing folders."""
        current = self._open_root()
        try:
            for name in path:
                child = (_open_or_make if make else _open_folder)(name, current)
                os.close(current)
                current = child
            yield current
        finally:
            os.close(current)

    def _open_root(self) -> int:
        try:
            return os.open(self.path, FOLDER_FLAGS)
        except OSError as error:
            # Not the same as empty: an unmounted disk must not look like a folder whose originals
            # were all deleted.
            # Strangers see it too, and need not know where the folder is.
            fix = "; mount its disk, or restore it" if error.errno == errno.ENOENT else ""
            raise Unavailable(f"the folder {self._name!r} cannot be opened: {error.strerror}{fix}") from error

    def stat(self, path: Segments) -> os.stat_result | None:
        """The stat result with links resolved, or None if nothing has this path."""
        return self._visit(path, lambda _folder, _name, found: found)

    def open(self, path: Segments) -> int | None:
        """A file descriptor of the regular file (links resolved), or None if there is none.

        Opens regular files only, because opening a device can have side effects.
        """
        return self._visit(path, _open_regular)

    def _visit(self, path: Segments, visitor: _Visitor[_T]) -> _T | None:
        """The result of ``visitor`` with links resolved, or None if nothing has this path. Tries
        without resolving first, because most paths contain no link."""
        with _suppress_not_found():
            try:
                return self._visit_unresolved(path, visitor, allow_link=False)
            except OSError as error:
                if error.errno not in LINK_ERRORS:
                    raise
            return self._visit_unresolved(self.resolve(path), visitor, allow_link=True)
        return None

    def _visit_unresolved(self, path: Segments, visitor: _Visitor[_T], *, allow_link: bool) -> _T:
        """Raises OSError(ELOOP or ENOTDIR) for a link among the parents, and OSError(ELOOP) for a
        link at the end unless ``allow_link``."""
        *parents, name = path or (b".",)
        with self.folder(tuple(parents)) as folder:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode) and not allow_link:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return visitor(folder, name, found)

    def prune(self, path: Segments) -> None:
        """Remove the folder and its parents as far as they are empty, but never the root."""
        for depth in range(len(path), 0, -1):
            try:
                with self.folder(path[: depth - 1]) as parent:
                    os.rmdir(path[depth - 1], dir_fd=parent)
            except OSError:
                return


def _open_folder(name: bytes, parent: int) -> int:
    return os.open(name, FOLDER_FLAGS, dir_fd=parent)


def _open_or_make(name: bytes, parent: int) -> int:
    try:
        return _open_folder(name, parent)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    return _open_folder(name, parent)


def _open_regular(folder: int, name: bytes, found: os.stat_result) -> int | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    file = os.open(name, _FILE_FLAGS, dir_fd=folder)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


@contextmanager
def _suppress_not_found() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_FOUND_ERRORS:
            raise
