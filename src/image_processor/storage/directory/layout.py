"""Directory store: where a key lies under the root, and how to get there without leaving it.

Links are resolved first and judged; then the link-free path is walked folder by folder with
O_NOFOLLOW, so a link planted in between leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from image_processor.domain.errors import Reason, Refused, Unavailable

PRIVATE = ".image-processor"
"""Our folder under the root; no key reaches it and no listing shows it."""

ODD = (os.fsencode(PRIVATE), b"odd")

Segments = tuple[bytes, ...]
"""Names from the root down. Bytes, so that the locale cannot change what a key means."""

_T = TypeVar("_T")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO that was swapped in for the file must not hang the reader.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_NAME_MAX = 255
_PATH_MAX = 4096

# An odd key is cut into pieces; three characters a byte and a mark stay below the 143 bytes
# that eCryptfs leaves of a name, the shortest limit in use.
_PIECE = 40
_MORE, _LAST = b"+", b"="

_NAME_UNFIT = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.ELOOP})
_LINK_ON_THE_WAY = frozenset({errno.ENOTDIR, errno.ELOOP})
"""What it says of a link where a folder was to be opened that is none, Linux or another system."""
NOT_HERE = _NAME_UNFIT | {errno.ENOENT}
"""What the file system says where nothing can lie under a name."""
NOT_PLAIN = _NAME_UNFIT | {errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
"""What the file system says where it cannot store a key under its own name."""


def odd_segments(key: str) -> Segments:
    """Where a key lies that the file system dislikes: percent-encoded, in pieces of 40 bytes."""
    raw = key.encode()
    pieces = [os.fsencode(quote_from_bytes(raw[at : at + _PIECE], "")) for at in range(0, len(raw), _PIECE)]
    return (*ODD, *(piece + _MORE for piece in pieces[:-1]), pieces[-1] + _LAST)


def odd_piece(name: bytes) -> tuple[bytes, bool] | None:
    """The part of a key that a name in the odd folder stands for, and whether it is the last."""
    if name[-1:] not in {_MORE, _LAST}:
        return None
    return unquote_to_bytes(name[:-1]), name[-1:] == _LAST


def is_private(name: bytes) -> bool:
    """Whether a top name means our folder, also where the file system ignores case."""
    return name.decode(errors="replace").casefold() == PRIVATE


class Root:
    """The root folder, made if missing. Paths are Segments; every method keeps inside.

    Methods raise OSError, and Refused(OUTSIDE_ROOT) where a link leads out of the root or into
    our private folder.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = os.fsencode(path.resolve())

    def plain(self, key: bytes) -> Segments | None:
        """The key as a relative path, None where its own name can never be one."""
        names = tuple(key.split(b"/"))
        unfit = any(name in {b"", b".", b".."} or len(name) > _NAME_MAX for name in names)
        too_long = len(self.path) + 1 + len(key) >= _PATH_MAX
        return None if unfit or too_long or b"\0" in key or is_private(names[0]) else names

    def resolve(self, path: Segments) -> Segments:
        """The same place without links."""
        given = b"/".join((self.path, *path))
        real = os.path.realpath(given)
        if real == given:
            return path
        top, *below = real.removeprefix(self.path).split(b"/")
        inside = real.startswith(self.path) and top == b"" and not (below and is_private(below[0]))
        if not inside:
            key = b"/".join(path).decode(errors="replace")
            raise Refused(Reason.OUTSIDE_ROOT, f"expected a path inside the root for {key!r}, got a link out")
        return tuple(below)

    @contextmanager
    def folder(self, path: Segments, *, make: bool = False) -> Iterator[int]:
        """A descriptor of a folder; no link is followed. ``make`` creates what is missing."""
        at = self._open_root()
        try:
            for name in path:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=at)
                below = os.open(name, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)

    def _open_root(self) -> int:
        try:
            return os.open(self.path, _FOLDER)
        except OSError as error:
            # Not the same as empty: a lost disk must not look like an upload folder whose
            # originals have all been deleted.
            raise Unavailable(f"the store's root folder cannot be opened: {error.strerror}") from error

    def look(self, path: Segments) -> os.stat_result | None:
        """What lies there (links resolved), None if nothing does."""
        return self._visit(path, lambda _folder, _name, found: found)

    def open(self, path: Segments) -> int | None:
        """A descriptor of the regular file there (links resolved), None if there is none.

        Nothing but a regular file is ever opened: a device could act on being opened.
        """
        return self._visit(path, _open_regular)

    def _visit(self, path: Segments, act: Callable[[int, bytes, os.stat_result], _T]) -> _T | None:
        """What ``act`` makes of what lies there, given its folder, its name in it and what it is: no
        link. None if nothing does. Most paths have no link in them, and need not be resolved."""
        with _nothing_if_not_here():
            try:
                return self._act(path, act, links=False)
            except OSError as error:
                if error.errno not in _LINK_ON_THE_WAY:
                    raise
            return self._act(self.resolve(path), act)
        return None

    def _act(
        self, path: Segments, act: Callable[[int, bytes, os.stat_result], _T], *, links: bool = True
    ) -> _T:
        """As `_visit`, without resolving. Raises OSError ELOOP for a link on the way, and for one at the
        end unless ``links``."""
        *above, name = path or (b".",)
        with self.folder(tuple(above)) as folder:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode) and not links:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return act(folder, name, found)

    def prune(self, path: Segments) -> None:
        """Remove a folder and its parents as long as they are empty; never the root."""
        for depth in range(len(path), 0, -1):
            try:
                with self.folder(path[: depth - 1]) as parent:
                    os.rmdir(path[depth - 1], dir_fd=parent)
            except OSError:
                return


def _open_regular(folder: int, name: bytes, found: os.stat_result) -> int | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    file = os.open(name, _FILE, dir_fd=folder)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


@contextmanager
def _nothing_if_not_here() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
