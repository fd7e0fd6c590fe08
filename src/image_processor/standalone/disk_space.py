"""Knows whether the disk of one machine has room: how much is free, and whether writes have failed.

Uploads, and renditions that are only cached, are refused before the disk is full; what remains is for the
renditions of uploads that were accepted, and for the catalog.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from image_processor.config.settings import PREFIX
from image_processor.domain.errors import InsufficientStorage

DEFAULT_MIN_FREE = 500 * 10**6
DEFAULT_MIN_FREE_FRACTION = 0.05
"""Without a setting: the part of a small disk that must stay free."""

_PROBE_BYTES = 1024 * 1024
_PROBE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class DiskStatus(StrEnum):
    """Whether there is room: ``low`` means that uploads will soon be refused, ``full`` that they are."""

    OK = "ok"
    LOW = "low"
    FULL = "full"


class DiskState(Struct, frozen=True):
    """The status, the bytes that are free, and what a person should know unless all is well."""

    status: DiskStatus
    free: int
    detail: str | None = None


class DiskSpace:
    """Watches the file systems of ``folders``. Methods may be called from any thread.

    ``min_free`` are the bytes below which there is no room; None: DEFAULT_MIN_FREE, or
    DEFAULT_MIN_FREE_FRACTION of a disk where that is less.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        min_free: int | None,
        *,
        statvfs: Callable[[Path], os.statvfs_result] = os.statvfs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = folders
        self._min_free = min_free
        self._statvfs = statvfs
        self._clock = clock
        self._lock = threading.Lock()
        self._failure: str | None = None
        self._next_probe = 0.0
        self._logged = DiskStatus.OK
        self._on_room: Callable[[], object] = lambda: None

    def call_when_room(self, callback: Callable[[], object]) -> None:
        """``callback`` is called when writes succeed again after one has failed."""
        self._on_room = callback

    def state(self) -> DiskState:
        """The current state. After a failed write it tries another one, at most every five seconds."""
        self._probe()
        states = [state for folder in self._folders if (state := self._state_of(folder)) is not None]
        # Without any folder there is nothing to say; the stores report that they are gone.
        worst = max(states, key=_badness, default=DiskState(DiskStatus.OK, 0))
        with self._lock:
            if self._failure is not None:
                worst = DiskState(DiskStatus.FULL, worst.free, self._failure)
            changed, self._logged = worst.status is not self._logged, worst.status
        if changed:
            _log.warning("disk: %s", worst.detail or "there is room again")
        return worst

    def check_room(self) -> None:
        """Raise InsufficientStorage unless there is room."""
        state = self.state()
        if state.status is DiskStatus.FULL:
            raise InsufficientStorage(state.detail or "the disk is full")

    def check_room_for(self, count: int) -> None:
        """Raise InsufficientStorage unless there is room for ``count`` more bytes and what stays free."""
        self.check_room()
        for folder in self._folders:
            if (room := self._room(folder)) is not None and room < count:
                expected = f"expected room for {_megabytes(count)}, with uploads that are being received"
                kept = f"above what stays free ({PREFIX}MIN_FREE_BYTES)"
                raise InsufficientStorage(f"{expected}, got {_megabytes(max(room, 0))} {kept}")

    def note_failure(self, error: InsufficientStorage) -> None:
        """A write has failed: the status is ``full`` until a write succeeds."""
        with self._lock:
            is_first, self._failure = self._failure is None, f"a write failed: {error}"
            self._next_probe = self._clock() + _PROBE_SECONDS
            self._logged = DiskStatus.FULL
        if is_first:
            _log.error("disk: a write failed: %s", error)

    def _probe(self) -> None:
        """Write to each folder if a write has failed, to see whether that is over."""
        with self._lock:
            if self._failure is None or self._clock() < self._next_probe:
                return
            self._next_probe = self._clock() + _PROBE_SECONDS
        try:
            for folder in self._folders:
                _try_write(folder)
        except OSError:
            return
        with self._lock:
            self._failure = None
        self._on_room()

    def _room(self, folder: Path) -> int | None:
        """The bytes that may be written until there is no room; None if the folder is gone."""
        try:
            disk = self._statvfs(folder)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize - self._required(disk)

    def _required(self, disk: os.statvfs_result) -> int:
        """The bytes that are to stay free."""
        if self._min_free is not None:
            return self._min_free
        size = disk.f_blocks * disk.f_frsize
        return int(min(DEFAULT_MIN_FREE, DEFAULT_MIN_FREE_FRACTION * size))

    def _state_of(self, folder: Path) -> DiskState | None:
        try:
            disk = self._statvfs(folder)
        except OSError:
            return None
        # Strangers see it too, and need not know where the data directory is.
        name = folder.name or folder
        free, required = disk.f_bavail * disk.f_frsize, self._required(disk)
        if disk.f_flag & os.ST_RDONLY:
            return DiskState(DiskStatus.FULL, free, f"the file system of {name} is read-only")
        if disk.f_files and not disk.f_favail:
            return DiskState(DiskStatus.FULL, free, f"the file system of {name} can hold no more files")
        room = f"{_megabytes(free)} free for {name}, expected {_megabytes(required)} ({PREFIX}MIN_FREE_BYTES)"
        if free < max(required, 1):
            return DiskState(DiskStatus.FULL, free, f"{room}: uploads are refused")
        if free < 2 * required:
            return DiskState(DiskStatus.LOW, free, f"{room}: uploads will be refused below that")
        return DiskState(DiskStatus.OK, free)


def _badness(state: DiskState) -> tuple[int, int]:
    return list(DiskStatus).index(state.status), -state.free


def _try_write(folder: Path) -> None:
    """Write a file without a name, which no listing shows. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
