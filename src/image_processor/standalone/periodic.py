"""A thread that does one thing at intervals until it is stopped, such as deleting what has expired."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from image_processor.domain.errors import ImageProcessorError

_log = logging.getLogger(__name__)


class Periodic:
    """Calls ``action`` now and every ``seconds``. An error of the core is logged unless the call before ended
    with the same one, and the next call tries again."""

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
            try:
                self._action()
                problem = ""
            except ImageProcessorError as error:
                if str(error) != problem:
                    _log.warning(
                        "%s failed, and is tried again in %g s: %s", self._name, self._seconds, error
                    )
                problem = str(error)
            if self._stop.wait(self._seconds):
                return
