"""Embedded: runs reconcile at the start and from time to time, so that nothing stays lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Upload
from image_processor.domain.ports import ObjectStore
from image_processor.ingest.reconcile import Finding, Reconciler

_log = logging.getLogger(__name__)


def mend(finding: Finding, processed: ObjectStore, submit: Callable[[Upload], object]) -> None:
    """Do what a finding asks for: queue its upload, or delete the stray object."""
    if finding.upload is not None:
        submit(finding.upload)
    if finding.orphan is not None:
        processed.delete(finding.orphan)


class Sweeper:
    """A thread that mends every finding, then pauses for ``seconds``, until it is stopped."""

    def __init__(self, reconciler: Reconciler, submit: Callable[[Upload], object], seconds: float) -> None:
        self._reconciler = reconciler
        self._submit = submit
        self._seconds = seconds
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def soon(self) -> None:
        """Do not wait for the end of the pause: something may have been lost."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._sweep()
            except ImageProcessorError as error:
                _log.warning("sweep stopped early, the next one goes on: %s", error)
            self._wake.wait(self._seconds)
            self._wake.clear()

    def _sweep(self) -> None:
        for finding in self._reconciler.findings():
            if self._stopping:
                return
            mend(finding, self._reconciler.processed, self._submit)
