"""The hit servers of `serve`: they start with the first hit, another one follows one that dies, and none
outlives the server.
"""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.served import RECIPE, Served
from support.waiting import wait_for

SECRET = "test-secret-of-sixteen"
STORED = "/renditions/a.png/w=32,fm=jpeg.jpg"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    server = Served(
        tmp_path,
        RECIPE,
        {
            "IMAGE_PROCESSOR_SERVER_PROCESSES": "3",
            "IMAGE_PROCESSOR_WORKERS": "1",
            "IMAGE_PROCESSOR_SIGNING_KEYS": f"a:{SECRET}",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        },
    )
    server.start()
    yield server
    server.close()


def hit_servers(server: Served) -> list[int]:
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    pids = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in pids if b"hit_server" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_running(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def get(server: Served, path: str) -> Any:
    with urllib.request.urlopen(server.address + path) as response:
        return response.read()


def test_hit_servers_serve_are_replaced_and_end_with_the_server(server: Served, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "data" / "uploads" / "a.png")
    wait_for(lambda: list((tmp_path / "data" / "processed").glob("a.png/*")), "the rendition")
    get(server, "/health")
    assert hit_servers(server) == []  # nobody has asked for a rendition
    get(server, STORED)
    wait_for(lambda: len(hit_servers(server)) == 2, "two hit servers")
    for pid in hit_servers(server):
        assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    bodies = {get(server, STORED) for _ in range(30)}
    assert len(bodies) == 1
    assert [bytes(body[:3]) for body in bodies] == [b"\xff\xd8\xff"]

    killed, other = hit_servers(server)
    os.kill(killed, signal.SIGKILL)
    assert {get(server, STORED) for _ in range(5)} == bodies
    wait_for(lambda: len(set(hit_servers(server)) - {killed}) == 2, "another hit server")

    pids = hit_servers(server)
    assert other in pids
    assert server.stop() == 0
    assert not any(map(is_running, pids))

    server.start()
    get(server, STORED)
    wait_for(lambda: len(hit_servers(server)) == 2, "two hit servers")
    pids = hit_servers(server)
    server.kill()
    wait_for(lambda: not any(map(is_running, pids)), "the end of both")
