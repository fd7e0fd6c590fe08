"""Isolated child processes for the histories with real processes: real pipes, deadlines and signals around
the fake renderer, so that the oracle knows the bytes. A child may be stopped amid its work.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from image_processor.domain.models import Rendered
from image_processor.engine.worker import child_process
from image_processor.engine.worker.isolation import IsolatedRenderer

_TESTS = Path(__file__).parents[1]
_REPLACED = "replaced-"
_STALL_SECONDS = 1.5
"""How long a child may stand still here, instead of a minute."""

_PROGRAM = """
import sys, time
sys.path[:0] = {path!r}
from image_processor.engine.worker import child
from support.ingest import fake_render

def render(*args, on_rendition, icc, exif, **_):
    def slowly(image):
        time.sleep(0.01)
        on_rendition(image)
    return fake_render(*args, icc=icc, exif=exif, on_rendition=slowly)

child.render = render
child.main()
# {marker}
"""

Stop = tuple[float, float | None]
"""So many seconds after a render has begun its first child is stopped; after so many others it continues,
unless that is None."""


class FakeChildRenderer(IsolatedRenderer):
    """An IsolatedRenderer whose children run the fake renderer, slowly, and have ``marker`` in their command
    line."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        path = [str(_TESTS), str(_TESTS.parent / "src")]
        self._program = _PROGRAM.format(path=path, marker=marker)


@contextmanager
def isolated_render(folder: str, stop: Stop | None) -> Iterator[Callable[..., Rendered]]:
    """A Renderer in child processes that have ``folder`` in their command line. A file in it tells of each
    child that was replaced."""
    child_process._STALL_SECONDS = child_process._TRANSFER_SECONDS = _STALL_SECONDS  # type: ignore[assignment]
    with FakeChildRenderer(folder) as renderer:

        def render(*args: Any, **options: Any) -> Rendered:
            renderer.warm()
            assert renderer._child is not None
            first = renderer._child.pid
            timers = _timers(first, stop) if stop else []
            try:
                rendered = renderer.render(*args, **options)
                if renderer._child.pid != first:
                    Path(folder, f"{_REPLACED}{first}").touch()
                return rendered
            finally:
                for timer in timers:
                    timer.cancel()

        yield render


def _timers(pid: int, stop: Stop) -> list[threading.Timer]:
    after, pause = stop
    timers = [threading.Timer(after, _signal, (pid, signal.SIGSTOP))]
    if pause is not None:
        timers.append(threading.Timer(after + pause, _signal, (pid, signal.SIGCONT)))
    for timer in timers:
        timer.daemon = True
        timer.start()
    return timers


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def replaced_children(folder: Path) -> int:
    """How many renders ended in another child than they had begun in."""
    return len(list(folder.glob(f"{_REPLACED}*")))


def children_left(folder: Path) -> list[str]:
    """The ids of children with ``folder`` in their command line that are still there."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (process / "cmdline").read_bytes():
                left.append(process.name)
    return left
