"""Embedded: files that appear in, change in or leave the upload directory become uploads.

A file is reported once it has been left alone for a moment, so that a slow copy is not taken for
a truncated picture. What the system's notifications miss, the sweep finds.
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
    """Watches ``root`` in a thread and hands uploads to ``submit``; leaves its entry ``private`` out.

    ``uploads`` and ``catalog`` tell what lies below a directory that came or went as a whole:
    the system then reports the directory only. ``on_gap`` is called when notifications were lost.
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
                # watchfiles gives up, with an unexported kind of RuntimeError, at a file name that
                # is not UTF-8. What happens until the next round reaches nobody but a sweep.
                # A directory that was replaced is no longer the one that is watched.
                _log.warning("notifications of %s broke off: %s", self._root, error)
                self._on_gap()
                self._stop.wait(_PAUSE_SECONDS)

    def _follow(self) -> None:
        # Held open, the directory's inode cannot be given to the one that replaces it.
        held = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._follow_held(held)
        finally:
            os.close(held)

    def _follow_held(self, held: int) -> None:
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
            if not _is_still_at(self._root, held):
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
            _log.warning("%r is left to the next sweep: %s", key, error)

    def _key(self, path: str) -> str | None:
        """The key of a path below the root; None for our own files and for names that are no key."""
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
            yield from self._gone_below(f"{key}/")

    def _gone_below(self, prefix: str) -> Iterator[Upload]:
        cursor: str | None = None
        while True:
            page = self._catalog.list(Query(prefix=prefix), limit=_PAGE, cursor=cursor)
            for record in page.records:
                yield Upload(self._bucket, record.key, UploadKind.DELETED)
            if (cursor := page.cursor) is None:
                return


def _is_still_at(path: Path, held: int) -> bool:
    """Whether the open directory ``held`` is what lies at ``path`` now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(held))
    except OSError:
        return False
