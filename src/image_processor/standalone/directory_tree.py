"""What the watcher expects of a watched directory: InotifyTree has the kernel's notifications, PolledTree
lists the directory at intervals."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, Self


class WatchLimit(Exception):
    """The kernel allows this user no more watches. ``sysctl`` names the limit."""

    def __init__(self, sysctl: str) -> None:
        super().__init__(f"the kernel's limit {sysctl} is reached")
        self.sysctl = sysctl


class DirectoryTree(Protocol):
    """A watched directory and all below it. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def closed(self) -> Collection[str]:
        """Those keys of the last `changes` that are files whose writer has closed them, or that were moved
        here."""
        ...

    def changes(self, seconds: float) -> set[str]:
        """The keys of files and directories that were created, changed, moved or deleted. Waits up to
        ``seconds`` for the first one. Of a directory that is new or gone, its own key may be all there is.

        Raises OSError or Unavailable if the watch is interrupted, and WatchLimit.
        """
        ...
