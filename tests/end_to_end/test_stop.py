"""SIGTERM ends the server in time, whatever its renderers do, and the next start does what is left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.hanging import silent, unreachable
from support.served import Served
from support.waiting import wait_for

RECIPE = """
[presets.small]
widths = [32]
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["small"]
"""
SETTINGS = {
    "IMAGE_PROCESSOR_STOP_SECONDS": "1",
    "IMAGE_PROCESSOR_WORKERS": "1",
    "IMAGE_PROCESSOR_SERVER_PROCESSES": "2",
    "IMAGE_PROCESSOR_ALLOW_UNSIGNED": "1",
}


@pytest.fixture
def server(tmp_path):
    # A stop waits eight seconds for renditions in use.
    server = Served(tmp_path, RECIPE, SETTINGS, {"api.work.STOP_RENDER_SECONDS": 2})
    yield server
    server.close()


def photo(size):
    """A small JPEG, followed by what makes it ``size`` bytes: a decoder does not read that far."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue().ljust(size, b"\0")


def renderers(server):
    """The process ids of the server's isolated children."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    pids = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in pids if b"worker.child" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def rendition(server, width):
    with urllib.request.urlopen(f"{server.address}/renditions/a.jpg/w={width},fm=jpeg") as response:
        return response.read()


def test_stopped_renderers_do_not_keep_the_server(server, tmp_path):
    uploads, processed = tmp_path / "data" / "uploads", tmp_path / "data" / "processed"
    server.start()
    (uploads / "a.jpg").write_bytes(photo(0))
    server.wait_until(lambda: len(list(processed.glob("a.jpg*"))) == 1)
    assert rendition(server, 20)
    children = renderers(server)
    assert len(children) == 2, "one of the workers, one for URLs"
    for pid in children:
        os.kill(pid, signal.SIGSTOP)

    failures = []

    def request():
        try:
            rendition(server, 21)
        except urllib.error.HTTPError as error:
            failures.append(error.code)

    client = threading.Thread(target=request)
    client.start()
    (uploads / "b.jpg").write_bytes(photo(868_000))
    server.wait_until(lambda: server.get("/health")["backlog"] == 1)
    assert server.stop() == 0
    client.join()
    assert failures == [503]
    for pid in children:
        wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "the end of a renderer")
    assert "Traceback" not in (tmp_path / "log").read_text()

    server.start()
    server.wait_until(lambda: list(processed.glob("b.jpg*")))
    assert server.stop() == 0


@pytest.mark.parametrize(("scheme", "hanging"), [("http", unreachable), ("https", silent), ("http", silent)])
def test_a_remote_source_that_does_not_answer_does_not_keep_the_server(server, tmp_path, scheme, hanging):
    with hanging() as port:
        source = f"{scheme}://127.0.0.1:{port}/"
        remote = {
            "IMAGE_PROCESSOR_REMOTE_SOURCES": f"far/={source}",
            "IMAGE_PROCESSOR_REMOTE_PRIVATE": "127.0.0.1",
            "IMAGE_PROCESSOR_REMOTE_TIMEOUT_SECONDS": "300",
        }
        server.settings |= remote
        server.start()
        answers = []

        def request():
            try:
                urllib.request.urlopen(f"{server.address}/renditions/far/a.jpg?w=20&fm=jpeg")
            except urllib.error.HTTPError as error:
                answers.append(error.code)

        before = connections_to(port)
        client = threading.Thread(target=request)
        client.start()
        server.wait_until(lambda: connections_to(port) > before)
        assert server.stop() == 0
        client.join()
    assert answers == [503]
    assert "Traceback" not in (tmp_path / "log").read_text()


def connections_to(port):
    """How many connections of this machine lead to one of its ports, or try to."""
    return Path("/proc/self/net/tcp").read_text().count(f" 0100007F:{port:04X} 0")


STOPPING = """
import os, signal, sys
if any("worker.child" in argument for argument in sys.orig_argv):
    open("started", "x").close()
    os.kill(os.getpid(), signal.SIGSTOP)
"""
"""A sitecustomize.py, which Python runs at its start, of renderers too."""

COMMAND = """
import signal
from image_processor.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be inherited as ignored
main()
"""


def test_ctrl_c_ends_a_command_whose_renderer_is_stopped(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(photo(868_000))
    (tmp_path / "sitecustomize.py").write_text(STOPPING)
    environment = {**os.environ, **SETTINGS, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", COMMAND, "process", "in", "--out", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_for((tmp_path / "started").exists, "the start of a renderer")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
