"""Turns created, changed and deleted files of the upload directory into uploads.

A file is reported once it has not changed for SETTLE_SECONDS, so that a slow copy is not mistaken for
a truncated image. Reconciliation finds what the file notifications miss.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import watchfiles

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Catalog, ObjectStore, Query

SETTLE_SECONDS = 0.25

_TICK_MS = 100
_PAGE = 1000
_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Watcher:
    """Watches ``root`` in a thread and calls ``submit`` with uploads; ignores its entry ``private``.

    When a whole directory is created or deleted, the system reports only the directory: ``uploads`` and
    ``catalog`` list the keys below it. ``on_gap`` is called when notifications were lost.
    """

    def __init__(
        self,
        root: Path,
        private: str,
        bucket: str,
        uploads: ObjectStore,
        catalog: Catalog,
        submit: Callable[[Upload], object],
        on_gap: Callable[[], object],
    ) -> None:
        self._root = root.resolve()
        self._private = private
        self._bucket = bucket
        self._uploads = uploads
        self._catalog = catalog
        self._submit = submit
        self._on_gap = on_gap
        self._stop = threading.Event()
        self._settling: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="watcher")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (RuntimeError, OSError) as error:
                # watchfiles raises an unexported subclass of RuntimeError for a file name that is
                # not UTF-8; FileNotFoundError means that the directory was replaced. Only
                # reconciliation sees what changes until the next round.
                _log.warning("file notifications of %s were interrupted: %s", self._root, error)
                self._on_gap()
                self._stop.wait(_PAUSE_SECONDS)

    def _follow(self) -> None:
        # While it is open, the inode of the directory is not reused by one that replaces it.
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._follow_directory(descriptor)
        finally:
            os.close(descriptor)

    def _follow_directory(self, descriptor: int) -> None:
        changes = watchfiles.watch(
            self._root,
            watch_filter=None,
            stop_event=self._stop,
            debounce=_TICK_MS,
            rust_timeout=_TICK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        for batch in changes:
            if not _is_still_at(self._root, descriptor):
                raise FileNotFoundError("the directory was replaced or removed")
            due = time.monotonic() + SETTLE_SECONDS
            self._settling.update((key, due) for _, path in batch if (key := self._key(path)))
            for key in self._settled():
                self._report(key)

    def _report(self, key: str) -> None:
        try:
            for upload in self._uploads_of(key):
                self._submit(upload)
        except ImageProcessorError as error:
            _log.warning("%r is left to the next reconciliation: %s", key, error)

    def _key(self, path: str) -> str | None:
        """The key of a path below the root; None for private files and for names that cannot be keys."""
        try:
            parts = Path(path).relative_to(self._root).parts
            "".join(parts).encode()
        except (ValueError, UnicodeEncodeError):
            return None
        return None if parts[:1] in {(), (self._private,)} else "/".join(parts)

    def _settled(self) -> list[str]:
        now = time.monotonic()
        settled = [key for key, due in self._settling.items() if due <= now]
        for key in settled:
            del self._settling[key]
        return settled

    def _uploads_of(self, key: str) -> Iterator[Upload]:
        path = self._root / key
        if path.is_dir() and not path.is_symlink():
            for entry in self._uploads.list(f"{key}/"):
                yield Upload(self._bucket, entry.key)
        elif path.is_symlink() or path.exists():
            yield Upload(self._bucket, key)
        else:
            yield Upload(self._bucket, key, UploadKind.DELETED)
            yield from self._deleted_below(f"{key}/")

    def _deleted_below(self, prefix: str) -> Iterator[Upload]:
        cursor: str | None = None
        while True:
            page = self._catalog.list(Query(prefix=prefix), limit=_PAGE, cursor=cursor)
            for record in page.records:
                yield Upload(self._bucket, record.key, UploadKind.DELETED)
            if (cursor := page.cursor) is None:
                return


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Whether the open directory ``descriptor`` is still the one at ``path``."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
