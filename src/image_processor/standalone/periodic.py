"""A thread that does one thing at intervals until it is stopped, such as deleting what has expired."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from image_processor.domain.errors import ImageProcessorError

_log = logging.getLogger(__name__)


class Periodic:
    """Calls ``action`` now and every ``seconds``. An error is logged unless the call before ended with the
    same one, and the next call tries again: no error ends the thread."""

    def __init__(self, name: str, seconds: float, action: Callable[[], object]) -> None:
        self._name = name
        self._seconds = seconds
        self._action = action
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        problem = ""
        while True:
            failed = self._failure()
            if failed is not None and str(failed) != problem:
                # Of a mistake in the program it says where.
                trace = None if isinstance(failed, ImageProcessorError) else failed
                text = "%s failed, and is tried again in %g s: %s"
                _log.warning(text, self._name, self._seconds, failed, exc_info=trace)
            problem = "" if failed is None else str(failed)
            if self._stop.wait(self._seconds):
                return

    def _failure(self) -> Exception | None:
        """What one call ended with; None if it succeeded."""
        try:
            self._action()
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            return error
        return None
