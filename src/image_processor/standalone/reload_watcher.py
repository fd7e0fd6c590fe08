"""Reloads the configuration of a server when one of its files changes, and on request: at SIGHUP."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from image_processor.domain.errors import Invalid

from .periodic import Periodic

TICK_SECONDS = 0.5
"""A file that has changed is read once it has not changed for this long: an editor may still write it."""

_State = tuple[int, int, int] | None
_log = logging.getLogger(__name__)


class Hangup:
    """SIGHUP as a request instead of the end of the process.

    The signal stays blocked: child processes inherit that, so that a hangup of the terminal, which goes to
    all of them, ends none. Create it in the main thread, before other threads and child processes.
    """

    def __init__(self) -> None:
        self._seen = False
        # A thread of a library that started earlier does not block it.
        signal.signal(signal.SIGHUP, self._note)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    def is_pending(self) -> bool:
        """Whether the process got the signal since the last call."""
        if signal.SIGHUP in signal.sigpending():
            signal.sigwait({signal.SIGHUP})
            self._seen = True
        seen, self._seen = self._seen, False
        return seen

    def _note(self, *_: object) -> None:
        self._seen = True


class ReloadWatcher:
    """A thread that calls each of ``reloads`` after a change of one of the ``files``, and whenever
    ``is_requested`` says so. They report their errors themselves; Invalid ends here.

    ``files`` are asked for at each look: a reload may change them. A file's time, size and inode are
    compared, which also shows what replaces a link or a mounted file.
    """

    def __init__(
        self,
        reloads: Sequence[Callable[[], object]],
        files: Callable[[], Iterable[str]],
        is_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reloads = reloads
        self._files = files
        self._is_requested = is_requested
        # At the second look the files may have changed since they were loaded.
        self._loaded: dict[str, _State] | None = None
        self._seen: dict[str, _State] | None = None
        self._thread = Periodic("the reload of the configuration", TICK_SECONDS, self._look)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    def _look(self) -> None:
        states = self._states()
        is_settled, self._seen = states == self._seen, states
        is_requested = self._is_requested()
        if is_requested:
            _log.info("SIGHUP: reading the recipe and the settings again")
        if is_requested or (states != self._loaded and is_settled):
            self._loaded = states
            for reload in self._reloads:
                with suppress(Invalid):
                    reload()

    def _states(self) -> dict[str, _State]:
        return {file: _state(file) for file in self._files()}


def _state(file: str) -> _State:
    """What changes with the content of a file; None if it does not exist."""
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
