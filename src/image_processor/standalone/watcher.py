"""Turns created, changed and deleted files of the upload directory into uploads.

A file is reported once its writer has closed it or has moved it here, or where that is not known, once it
has not changed for SETTLE_SECONDS: a slow copy must not be mistaken for a truncated image. Reconciliation
finds what the file notifications miss.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from image_processor.domain.errors import ImageProcessorError, NotFound, Refused
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Catalog, ObjectStore, Query
from image_processor.ingest.deletion_guard import NO_LIMIT

from .deletion_burst import DeletionBurst
from .directory_tree import DirectoryTree, WatchLimit
from .polled_tree import PolledTree
from .submitted_versions import SubmittedVersions

SETTLE_SECONDS = 0.25

_TICK_SECONDS = 0.1
_PAGE = 1000
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_log = logging.getLogger(__name__)


class Watcher:
    """Watches ``root`` in a thread and calls ``submit`` with uploads; ignores its entry ``private``.

    When a whole directory is created or deleted, the system reports only the directory: ``uploads`` and
    ``catalog`` list the keys below it. ``on_gap`` is called when notifications were lost, and when more than
    ``deletion_limit`` percent of the originals are deleted at once, which is not submitted. A file in a
    version that ``submitted`` holds is not reported: the API, which has written it, has submitted it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a part of the server, given its other parts
        self,
        root: Path,
        private: str,
        bucket: str,
        uploads: ObjectStore,
        catalog: Catalog,
        submit: Callable[[Upload], object],
        on_gap: Callable[[], object],
        deletion_limit: int = NO_LIMIT,
        submitted: SubmittedVersions | None = None,
    ) -> None:
        self._root = root.resolve()
        self._private = private
        self._bucket = bucket
        self._uploads = uploads
        self._catalog = catalog
        self._submitted = submitted or SubmittedVersions()
        self._submit = self._noting(submit)
        self._on_gap = on_gap
        self._stop = threading.Event()
        self._watching = threading.Event()
        self.attempted = threading.Event()
        """Set once later changes will be reported, or could not be watched: then ``on_gap`` is called when
        they are."""
        self._settling: dict[str, float] = {}
        self._deletions = DeletionBurst(catalog, deletion_limit, self._submit, on_gap)
        self._polls = sys.platform != "linux"
        self._thread = threading.Thread(target=self._run, name="watcher")

    def start(self) -> None:
        self._thread.start()

    def wait_until_watching(self) -> None:
        """Return once later changes will be reported, or the watcher is stopped."""
        while not (self._watching.wait(_TICK_SECONDS) or self._stop.is_set()):
            pass

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """Watch again after each interruption, after pauses that grow while it lasts."""
        pause, problem, interrupted = _FIRST_PAUSE, "", False
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._follow(interrupted=interrupted)
            except WatchLimit as limit:
                self._poll_from_now_on(limit)
            except Exception as error:  # noqa: BLE001 - a bug must not end the watch
                if time.monotonic() - started > _LONGEST_PAUSE:
                    pause, problem = _FIRST_PAUSE, ""
                if str(error) != problem:
                    trace = None if isinstance(error, OSError | ImageProcessorError) else error
                    text = "file notifications of %s were interrupted: %s"
                    _log.warning(text, self._root, error, exc_info=trace)
                problem, interrupted = str(error), True
                self.attempted.set()
                self._stop.wait(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)

    def _poll_from_now_on(self, limit: WatchLimit) -> None:
        _log.warning(
            "%s: %s is listed at intervals instead of watched, and new files are found later."
            " Raise the limit (sysctl -w %s=...) and start the server again.",
            limit,
            self._root,
            limit.sysctl,
        )
        self._polls = True
        self._on_gap()

    def _follow(self, *, interrupted: bool) -> None:
        # While it is open, the inode of the directory is not reused by one that replaces it.
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with self._open_tree() as tree:
                self._watching.set()
                self.attempted.set()
                if interrupted:
                    _log.warning("%s is watched again", self._root)
                    self._on_gap()
                while not self._stop.is_set():
                    changes = tree.changes(_TICK_SECONDS)
                    self._follow_changes(changes, tree.closed)
                    if not _is_still_at(self._root, descriptor):
                        raise FileNotFoundError("the directory was replaced or removed")
        finally:
            os.close(descriptor)

    def _open_tree(self) -> DirectoryTree:
        if self._polls:
            return PolledTree(self._uploads, self._stop)
        from .inotify_tree import InotifyTree  # noqa: PLC0415 - on Linux only

        return InotifyTree(self._root, self._private, self._on_gap, self._stop.is_set)

    def _follow_changes(self, keys: set[str], closed: Collection[str]) -> None:
        now = time.monotonic()
        for key in keys:
            # The API moves an upload here before it submits it.
            is_complete = key in closed and not (_is_empty(self._root / key) or self._submitted.expects(key))
            self._settling[key] = now if is_complete else now + SETTLE_SECONDS
        for key in self._settled():
            if self._stop.is_set():
                return
            self._report(key)
        try:
            self._deletions.settle()
        except ImageProcessorError as error:
            _log.warning("deletions are left to the next reconciliation: %s", error)

    def _report(self, key: str) -> None:
        try:
            for upload in self._uploads_of(key):
                if self._stop.is_set():
                    return
                if upload.kind is UploadKind.DELETED:
                    self._deletions.add(upload)
                else:
                    self._submit(upload)
        except (OSError, ImageProcessorError) as error:
            _log.warning("%r is left to the next reconciliation: %s", key, error)

    def _noting(self, submit: Callable[[Upload], object]) -> Callable[[Upload], object]:
        def note_and_submit(upload: Upload) -> object:
            self._submitted.note(upload)
            return submit(upload)

        return note_and_submit

    def _is_submitted(self, key: str) -> bool:
        try:
            return self._submitted.holds(key, self._uploads.head(key).entry.version)
        except (NotFound, Refused):
            return False

    def _settled(self) -> list[str]:
        now = time.monotonic()
        settled = [key for key, due in self._settling.items() if due <= now]
        for key in settled:
            del self._settling[key]
        return settled

    def _uploads_of(self, key: str) -> Iterator[Upload]:
        mode = _mode(self._root / key)
        if (stat.S_ISREG(mode) and not self._is_submitted(key)) or stat.S_ISLNK(mode):
            yield Upload(self._bucket, key)
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            for entry in self._uploads.list(f"{key}/"):
                if not self._submitted.holds(entry.key, entry.version):
                    yield Upload(self._bucket, entry.key)
        elif not stat.S_ISREG(mode):
            # Nothing, or a pipe, socket or device, which is never opened.
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


def _is_empty(path: Path) -> bool:
    """Whether a file has no bytes: then its writer has only reserved the name so far."""
    try:
        return path.lstat().st_size == 0
    except OSError:
        return True


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Whether the open directory ``descriptor`` is still the one at ``path``."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _mode(path: Path) -> int:
    """The type of what is at ``path``, as stat(2)'s mode, without following a link; 0 for nothing."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
            return 0
        raise
