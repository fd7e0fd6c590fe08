"""Reconciles at the start and at intervals, which repairs what lost events and crashes left undone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Upload
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile import Finding, Reconciler

REST = 4.0
"""The shortest pause after a search, as a multiple of the time that it took."""

PACE = 9.0
"""The pause after each page of a search, as a multiple of the time that it took: a search takes a tenth of a
core."""
_LONGEST_PACE = 5.0

_TICK_SECONDS = 0.1
_STANDBY_SECONDS = 0.5
"""How often a server that is not in charge looks whether it is."""

_log = logging.getLogger(__name__)


class ReconcileReport(Struct, frozen=True):
    """What a reconciliation could not do. ``unreadable`` counts keys that could not be read, ``held``
    deletions that are held back because too many originals are gone, for the ``reason``."""

    unreadable: int = 0
    held: int = 0
    reason: str | None = None


def apply(finding: Finding, reconciler: Reconciler, submit: Callable[[Upload], object]) -> Finding | None:
    """Repair what a finding reports: queue its upload, or delete the orphaned object. Returns what could not
    be repaired, and why. Raises Unavailable if a store is down."""
    if finding.upload is not None:
        submit(finding.upload)
    if finding.orphan is not None:
        return reconciler.delete_orphan(finding)
    return finding if finding.upload is None else None


class _Pace:
    """Pauses a search after each page, and ends it at a stop."""

    def __init__(
        self, stop: threading.Event, is_over: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        self._stop = stop
        self._is_over = is_over
        self._clock = clock
        self._resumed = clock()

    def is_stopping(self) -> bool:
        """Pause, and return whether the search is to end."""
        self._stop.wait(min(_LONGEST_PACE, PACE * (self._clock() - self._resumed)))
        self._resumed = self._clock()
        return self._is_over()


class ReconcileLoop:
    """A thread that applies every finding, then pauses for ``seconds``, until it is stopped.

    A stop is noticed after each page of the search and each finding. After `trigger` the pause ends early,
    but takes at least REST times as long as the search did: repeated triggers must not keep a large library
    under search. While ``is_in_charge`` returns False there is no search: another server does it. It is
    called after each page and each finding.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        submit: Callable[[Upload], object],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        is_in_charge: Callable[[], bool] = lambda: True,
    ) -> None:
        self._is_in_charge = is_in_charge
        self._reconciler = reconciler
        self._submit = submit
        self._seconds = seconds
        self._clock = clock
        self._report = ReconcileReport()
        self._passed_over: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._end_rest = threading.Event()
        self._after: threading.Event | None = None
        self._thread = threading.Thread(target=self._run, name="reconcile")

    def start(self, after: threading.Event | None = None) -> None:
        """The first search begins once ``after`` is set: a file that is dropped behind it must be noticed by
        the watcher, or it would wait for the next search."""
        self._after = after
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._end_pause()
        self._thread.join()

    def report(self) -> ReconcileReport:
        """What the last complete reconciliation could not do."""
        return self._report

    def use(self, reconciler: Reconciler) -> None:
        """Search with another reconciler, by another recipe, from now on: a search that runs ends, and the
        next one begins at once."""
        self._reconciler = reconciler
        self._end_pause()

    def trigger(self) -> None:
        """End the pause early: events may have been lost."""
        self._wake.set()

    def _run(self) -> None:
        while self._after is not None and not self._after.wait(_TICK_SECONDS) and not self._stop.is_set():
            pass
        while not self._stop.is_set():
            if not self._is_in_charge():
                self._stop.wait(_STANDBY_SECONDS)
                continue
            self._wake.clear()
            self._end_rest.clear()
            started = self._clock()
            reconciler = self._reconciler
            try:
                self._reconcile(reconciler)
            except ImageProcessorError as error:
                _log.warning("reconciliation stopped early, the next one continues: %s", error)
            except Exception:  # noqa: BLE001 - a bug must not end the searches
                _log.exception("reconciliation failed, the next one continues")
            if not self._is_over(reconciler):
                self._pause(self._clock() - started)

    def _is_over(self, reconciler: Reconciler) -> bool:
        """Whether a search with ``reconciler`` is to end."""
        return self._stop.is_set() or self._reconciler is not reconciler or not self._is_in_charge()

    def _end_pause(self) -> None:
        """End the pause after a search, and the rest in it."""
        self._wake.set()
        self._end_rest.set()

    def _pause(self, search_seconds: float) -> None:
        rest = min(self._seconds, REST * search_seconds)
        self._end_rest.wait(rest)
        self._wake.wait(self._seconds - rest)

    def _reconcile(self, reconciler: Reconciler) -> None:
        passed_over: set[str] = set()
        held, reason = 0, None
        pace = _Pace(self._stop, lambda: self._is_over(reconciler), self._clock)
        for finding in reconciler.findings(pace.is_stopping):
            if self._is_over(reconciler):
                return
            failure = apply(finding, reconciler, self._submit)
            if finding.drift is Drift.HELD:
                held, reason = held + 1, finding.detail
            if (unreadable := failure or finding).drift is Drift.UNREADABLE:
                self._pass_over(unreadable)
                passed_over.add(unreadable.key)
        if self._is_over(reconciler):
            return
        self._passed_over = frozenset(passed_over)
        if reason is not None and not self._report.held:
            _log.error("nothing is deleted: %s", reason)
        self._report = ReconcileReport(len(passed_over), held, reason)

    def _pass_over(self, finding: Finding) -> None:
        """Log a key that is skipped: once, and again only after it could be read."""
        if finding.key not in self._passed_over:
            _log.warning("%r is passed over: %s", finding.key, finding.detail)
