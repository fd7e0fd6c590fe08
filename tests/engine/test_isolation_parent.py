"""The isolated child ends with its parent, however that ends, and says nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from isolated_children import GOOD, ends
from test_probe import jpeg_of

from support.waiting import wait_for

PARENT = r"""
import sys
from pathlib import Path
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.domain.models import Limits

class Telling(IsolatedRenderer):
    _program = r'''
import os
from image_processor.engine.worker import child
real = child.render
def telling(*args, **options):
    os.write(2, b"busy\n")
    return real(*args, **options)
child.render = telling
child.main()
'''

renderer = Telling()
renderer.warm()
print(renderer._child.pid, flush=True)
if len(sys.argv) > 1:
    renderer.render(Path(sys.argv[1]).read_bytes(), [], Limits(max_scans=100_000, cpu_seconds=3600))
sys.stdin.read()
"""
"""A process with a child that is idle, or busy with the file named on the command line."""

UNWATCHED = r"""
import sys
from pathlib import Path
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.domain.models import Limits

class Unwatched(IsolatedRenderer):
    _program = r'''
import os, select, sys
from image_processor.engine.worker import child
def wait(*_, **__):
    os.write(2, b"busy\n")
    gone = select.poll()
    gone.register(int(sys.argv[1]), 0)
    gone.poll()
real = child.{function}
def waiting(*args, **options):
    wait()
    return real(*args, **options)
child.{function} = waiting
child._exit_with_parent = lambda _: None
child.main()
'''

renderer = Unwatched()
renderer.start()
print(renderer._child.pid, flush=True)
renderer.render(Path(sys.argv[1]).read_bytes(), [], Limits())
"""
"""A process whose child does not notice its end, but for what it reads and writes."""


def test_a_stopped_child_ends_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        child = os.pidfd_open(pid)
        signal.pidfd_send_signal(child, signal.SIGSTOP)
        # A child that stops after its parent's end would not be noticed: wait until it has.
        wait_for(lambda: is_stopped(pid), "the stop of the child")
        parent.kill()
        assert ends(child)


def is_stopped(pid: int) -> bool:
    """Whether all threads of a process are in state T, which follows the name in parentheses (proc(5)). Only
    then does the kernel count the process as stopped."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all((thread / "stat").read_text().rpartition(") ")[2].startswith("T") for thread in threads)


@pytest.mark.parametrize("function", ["runtime.start", "render"], ids=["starting", "rendering"])
def test_a_child_whose_parent_is_killed_writes_no_traceback(function: str, tmp_path: Path) -> None:
    """Its standard error is the server's, where a traceback would look like the reason of the end."""
    (tmp_path / "good").write_bytes(GOOD)
    command = [sys.executable, "-c", UNWATCHED.replace("{function}", function), str(tmp_path / "good")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        assert parent.stderr.readline() == b"busy\n"
        parent.kill()
        assert ends(child)
        assert parent.stderr.read() == b""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_child_exits_with_its_parent(busy: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a column
    slow = tmp_path / "slow"
    slow.write_bytes(jpeg_of(50_000, 7000))  # would take many minutes
    command = [sys.executable, "-c", PARENT, *([str(slow)] if busy else [])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        if busy:
            assert parent.stderr.readline() == b"busy\n"
        parent.kill()
        assert ends(child)
