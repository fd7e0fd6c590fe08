"""A part of the watcher: collects deletions that come together, and decides whether to report them.

A directory that is emptied is notified file by file. Whether most originals are gone shows only at the
end, so deletions wait until no more come. Most originals at once are left to reconciliation, which holds
them back until a person accepts them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from image_processor.domain.keys import image_id
from image_processor.domain.models import Upload
from image_processor.domain.ports import Catalog, Query
from image_processor.ingest.deletion_guard import MIN_KEYS, DeletionGuard

QUIET_SECONDS = 0.25
_LONGEST_WAIT = 2.0
"""Seconds that a few deletions wait for others. Many wait until no more come."""
_RECENT_SECONDS = 60.0
"""Deletions within this time belong to one burst: a large directory is not emptied at once."""
_FEW = MIN_KEYS // 2
"""Up to this many deletions are never most of more than MIN_KEYS originals."""
_MAX_PENDING = 10_000
"""Keys in memory; of more, reconciliation finds all."""
_PAGE = 1000
_log = logging.getLogger(__name__)


class DeletionBurst:
    """Deletions that wait for each other. ``submit`` gets each upload, unless more than ``limit`` percent of
    the catalog's records are deleted at once; then ``on_gap`` is called."""

    def __init__(
        self,
        catalog: Catalog,
        limit: int,
        submit: Callable[[Upload], object],
        on_gap: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._limit = limit
        self._submit = submit
        self._on_gap = on_gap
        self._clock = clock
        self._pending: dict[str, Upload] = {}
        self._is_too_large = False
        self._quiet_at = self._patient_until = 0.0
        self._recent: deque[tuple[float, int]] = deque()

    def add(self, upload: Upload) -> None:
        """Let a deletion wait for others."""
        now = self._clock()
        self._quiet_at = now + QUIET_SECONDS
        if not self._pending:
            self._patient_until = now + _LONGEST_WAIT
        if len(self._pending) < _MAX_PENDING:
            self._pending[upload.key] = upload
        else:
            self._is_too_large = True

    def settle(self) -> None:
        """Submit what waits, or leave it to reconciliation, once no more come. Raises what ``submit`` and the
        catalog raise; what is left then is found by reconciliation, too."""
        if not self._pending:
            return
        now, recent = self._clock(), self._count_recent()
        are_few = len(self._pending) + recent <= _FEW
        if now < self._quiet_at and not (are_few and now >= self._patient_until):
            return
        uploads, self._pending = list(self._pending.values()), {}
        is_too_large, self._is_too_large = self._is_too_large, False
        if is_too_large or not (are_few or self._are_few_of_all(uploads, recent)):
            _log.warning("%d deletions or more are left to reconciliation", len(uploads))
            self._on_gap()
            return
        self._recent.append((now, len(uploads)))
        for upload in uploads:
            self._submit(upload)

    def _count_recent(self) -> int:
        """The deletions of the last _RECENT_SECONDS."""
        while self._recent and self._recent[0][0] < self._clock() - _RECENT_SECONDS:
            self._recent.popleft()
        return sum(count for _, count in self._recent)

    def _are_few_of_all(self, uploads: list[Upload], recent: int) -> bool:
        recorded = sum(self._catalog.get(image_id(item.bucket, item.key)) is not None for item in uploads)
        gone = recorded + recent
        enough = 100 * gone // self._limit + 1
        return not DeletionGuard(recent + self._count_records(enough), gone).holds(self._limit)

    def _count_records(self, enough: int) -> int:
        """The number of records, or at least ``enough``."""
        count, cursor = 0, None
        while count < enough:
            page = self._catalog.list(Query(), limit=_PAGE, cursor=cursor)
            count += len(page.records)
            if (cursor := page.cursor) is None:
                break
        return count
