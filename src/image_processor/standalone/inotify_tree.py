"""File notifications of a whole directory tree, by one inotify watch for each directory (Linux).

What cannot be watched is reported once and left out; the rest of the tree is watched. Why no library does
that: docs/adr/0006-directories.md.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from inotify_simple import Event, INotify, flags

from .directory_tree import WatchLimit

_MASK = (
    flags.CREATE
    | flags.MODIFY
    | flags.CLOSE_WRITE
    | flags.ATTRIB
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.ONLYDIR
    | flags.DONT_FOLLOW
)
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_OF_THE_PROCESS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_COALESCE_MS = 20
"""How long after the first notification all are read: a copy causes one for each block written."""
_MAX_REPORTS = 100

_log = logging.getLogger(__name__)


class InotifyTree:
    """Watches the directory ``root`` and all below it, but not its entry ``private``. A context manager.

    Links are not followed: their targets inside ``root`` are watched where they are. ``on_gap`` is called
    when the kernel has dropped notifications. ``is_stopping`` ends the walk of a large tree early. Raises
    OSError if ``root`` cannot be watched, and WatchLimit.
    """

    def __init__(
        self,
        root: Path,
        private: str,
        on_gap: Callable[[], object],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._root = os.fsencode(root)
        self._private = os.fsencode(private)
        self._on_gap = on_gap
        self._is_stopping = is_stopping
        self._paths: dict[int, bytes] = {}
        self._watches: dict[bytes, int] = {}
        self._reported: set[bytes] = set()
        self._closed: frozenset[str] = frozenset()
        self._inotify = _open_inotify()
        try:
            self._watch(b"")
            self._watch_below(b"")
        except BaseException:
            self._inotify.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inotify.close()

    def changes(self, seconds: float) -> set[str]:
        events = self._inotify.read(timeout=int(seconds * 1000), read_delay=_COALESCE_MS)
        changed: dict[str, bool] = {}  # whether the last event about the content was the last write
        for event in events:
            path = self._follow(event)
            key = None if path is None else _key(path)
            if key is not None:
                changed[key] = _is_closed(event.mask, before=changed.get(key, False))
        self._closed = frozenset(key for key, is_closed in changed.items() if is_closed)
        return set(changed)

    @property
    def closed(self) -> frozenset[str]:
        return self._closed

    def _follow(self, event: Event) -> bytes | None:
        """Keep the watches up to date. Returns the path that changed, if any did."""
        if event.mask & flags.Q_OVERFLOW:
            self._watch_below(b"")  # directories may have been created
            self._on_gap()
            return None
        folder = self._paths.get(event.wd)
        if folder is None:  # of a watch that is removed
            return None
        if event.mask & flags.IGNORED:
            self._forget(event.wd)
            if not folder:
                raise FileNotFoundError(errno.ENOENT, "the directory was removed or unmounted")
            return None
        name = os.fsencode(event.name)
        if not name or (not folder and name == self._private):
            return None
        path = folder + name
        if event.mask & flags.ISDIR:
            return path if self._follow_directory(path + b"/", event.mask) else None
        return path

    def _follow_directory(self, folder: bytes, mask: int) -> bool:
        """Whether the content of ``folder`` may have appeared or disappeared."""
        if mask & (flags.DELETE | flags.MOVED_FROM):
            self._forget_below(folder)
            return True
        if mask & flags.ATTRIB and folder in self._watches:
            return False
        # Permission may have been given since. What is created after the watch is notified, and what was
        # there before is found by the listing that follows.
        if not self._watch(folder):
            return False
        self._watch_below(folder)
        return True

    def _watch_below(self, start: bytes) -> None:
        """Watch all directories below ``start``, which is watched."""
        pending = [start]
        while pending and not self._is_stopping():
            folder = pending.pop()
            pending += [child for child in self._subfolders(folder) if self._watch(child)]

    def _watch(self, folder: bytes) -> bool:
        """Watch one directory, without those below it. Whether it is watched now."""
        if _key(folder) is None:
            self._report(folder, "its name is not UTF-8, so no key can have it")
            return False
        try:
            watch = self._inotify.add_watch(os.path.join(self._root, folder), _MASK)  # noqa: PTH118 - bytes
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise WatchLimit("fs.inotify.max_user_watches") from error
            if not folder:
                raise
            self._leave_out(folder, error)
            return False
        self._paths[watch] = folder
        self._watches[folder] = watch
        return True

    def _subfolders(self, folder: bytes) -> Iterator[bytes]:
        try:
            with os.scandir(os.path.join(self._root, folder)) as entries:  # noqa: PTH118 - bytes
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False) and (folder or entry.name != self._private):
                        yield folder + entry.name + b"/"
        except OSError as error:
            self._leave_out(folder, error)

    def _leave_out(self, folder: bytes, error: OSError) -> None:
        """Report ``folder``, unless it is gone. Raises ``error`` if it says nothing about the folder."""
        if error.errno in _OF_THE_PROCESS:
            raise error
        if error.errno not in _GONE:
            self._report(folder, error.strerror)

    def _forget_below(self, start: bytes) -> None:
        """Remove the watches of ``start`` and all below it: after a move they have other paths."""
        for folder in [folder for folder in self._watches if folder.startswith(start)]:
            watch = self._watches[folder]
            self._forget(watch)
            try:
                self._inotify.rm_watch(watch)
            except OSError as error:
                if error.errno != errno.EINVAL:  # the kernel removes watches of deleted directories itself
                    raise

    def _forget(self, watch: int) -> None:
        folder = self._paths.pop(watch)
        if self._watches.get(folder) == watch:
            del self._watches[folder]

    def _report(self, folder: bytes, reason: str | None) -> None:
        """Log once that ``folder`` is not watched."""
        if folder in self._reported or len(self._reported) == _MAX_REPORTS:
            return
        self._reported.add(folder)
        _log.warning("%r is not watched, the rest is: %s", os.fsdecode(self._root + b"/" + folder), reason)
        if len(self._reported) == _MAX_REPORTS:
            _log.warning("further directories that cannot be watched are not reported")


def _is_closed(mask: int, *, before: bool) -> bool:
    """Whether a file is complete after an event: one that is moved here was written elsewhere. An event about
    its attributes says nothing about its content."""
    return bool(mask & (flags.CLOSE_WRITE | flags.MOVED_TO)) or (before and bool(mask & flags.ATTRIB))


def _open_inotify() -> INotify:
    try:
        return INotify()
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise WatchLimit("fs.inotify.max_user_instances") from error
        raise


def _key(path: bytes) -> str | None:
    """The key that is the path of a file or directory; None if it is not UTF-8."""
    try:
        return path.rstrip(b"/").decode()
    except UnicodeDecodeError:
        return None
