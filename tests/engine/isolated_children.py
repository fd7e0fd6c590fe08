"""Isolated renderers whose children misbehave, for tests."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

from drawing import encoded, photograph

from hostile.bombs import jpeg_of
from image_processor.domain.models import Limits
from image_processor.domain.transformation import parse
from image_processor.engine.worker.isolation import IsolatedRenderer

GOOD = encoded(photograph(), "jpeg")
WANTED = [parse("w=60,fm=jpeg"), parse("w=40,h=40,g=attention,fm=webp")]
SLOW = jpeg_of(8000, 3000)
"""Tens of seconds of decoding in 600 kB."""
SLOW_LIMITS = Limits(max_scans=10_000, cpu_seconds=1)
PATIENCE_SECONDS = 60
"""How long an event of another process is awaited on a busy machine before the test fails."""


def pid_of(renderer: IsolatedRenderer) -> int:
    assert renderer._child is not None
    return renderer._child.pid


def rigged(render_body: str, start: str = "") -> IsolatedRenderer:
    """A renderer whose child runs the given function body as `render`; ``real`` is the real one. It runs
    ``start`` before it enters the sandbox."""

    class Rigged(IsolatedRenderer):
        _program = (
            "import os, signal, sys\n"
            "from image_processor.engine import runtime\nfrom image_processor.engine.worker import child\n"
            "from image_processor.domain.errors import UnsafeRuntime\n"
            "real = child.render\n"
            "def rigged(*args, **options):\n"
            f"    {render_body}\n"
            "    return real(*args, **options)\n"
            "child.render = rigged\n"
            f"{start}\n"
            "child.main()\n"
        )

    return Rigged(timeout_factor=0.5)


class Deaf(IsolatedRenderer):
    """Its child says that it is ready, and reads nothing."""

    _program = (
        'import sys, os, time; reply = b\'{"type":"ready"}\';'
        "os.write(int(sys.argv[2]), len(reply).to_bytes(8) + reply); time.sleep(60)"
    )


def stopped(renderer: IsolatedRenderer) -> int:
    """Stop the child of ``renderer`` as `kill -STOP` does, and return its process id."""
    renderer.warm()
    pid = pid_of(renderer)
    os.kill(pid, signal.SIGSTOP)
    return pid


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ends(descriptor: int) -> bool:
    """Wait for the end of the process of a pidfd; kill it if it does not come. Closes the descriptor."""
    gone = select.poll()
    gone.register(descriptor, select.POLLIN)
    ended = bool(gone.poll(PATIENCE_SECONDS * 1000))
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)
    return ended
