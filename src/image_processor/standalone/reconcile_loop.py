"""Reconciles at the start and at intervals, which repairs what lost events and crashes left undone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Upload
from image_processor.domain.ports import ObjectStore
from image_processor.ingest.reconcile import Finding, Reconciler

_log = logging.getLogger(__name__)


def apply(finding: Finding, processed: ObjectStore, submit: Callable[[Upload], object]) -> None:
    """Repair what a finding reports: queue its upload, or delete the orphaned object."""
    if finding.upload is not None:
        submit(finding.upload)
    if finding.orphan is not None:
        processed.delete(finding.orphan)


class ReconcileLoop:
    """A thread that applies every finding, then pauses for ``seconds``, until it is stopped."""

    def __init__(self, reconciler: Reconciler, submit: Callable[[Upload], object], seconds: float) -> None:
        self._reconciler = reconciler
        self._submit = submit
        self._seconds = seconds
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reconcile")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def trigger(self) -> None:
        """End the pause now: events may have been lost."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._reconcile()
            except ImageProcessorError as error:
                _log.warning("reconciliation stopped early, the next one continues: %s", error)
            self._wake.wait(self._seconds)
            self._wake.clear()

    def _reconcile(self) -> None:
        for finding in self._reconciler.findings():
            if self._stopping:
                return
            apply(finding, self._reconciler.processed, self._submit)
