"""`serve` applies a changed recipe while it runs, keeps the old one if the new one is invalid, and survives
SIGHUP in each of its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from support.served import Served
from support.waiting import wait_for

RECIPE = """
[presets.small]
widths = [{width}]
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["small"]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    settings = {"IMAGE_PROCESSOR_SERVER_PROCESSES": "2", "IMAGE_PROCESSOR_WORKERS": "1"}
    server = Served(tmp_path, RECIPE.format(width=32), settings)
    server.start()
    yield server
    server.close()


def processes(server: Served) -> list[int]:
    """The process ids of the server and of all processes that it has started."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [server.process.pid, *(int(pid) for task in tasks for pid in task.read_text().split())]


def renditions(folder: Path) -> set[str]:
    return {path.name for path in (folder / "data" / "processed").glob("a.png/*")}


def test_a_changed_recipe_is_applied_to_new_and_to_stored_originals(server: Served, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "data" / "uploads" / "a.png")
    wait_for(lambda: renditions(tmp_path) == {"w=32,fm=jpeg.jpg"}, "the rendition")
    pids = processes(server)
    assert len(pids) >= 3  # with a hit server and a renderer

    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[presets.small]\nwidht = 1\n")
    wait_for(lambda: server.get("/health")["status"] == "degraded", "the error")
    assert "the previous one stays in force" in (tmp_path / "log").read_text()
    assert server.get("/recipe")["presets"] == {"small": ["w=32,fm=jpeg"]}

    recipe.write_text(RECIPE.format(width=16))
    wait_for(lambda: renditions(tmp_path) == {"w=16,fm=jpeg.jpg"}, "the rendition of the new recipe")
    assert server.get("/health")["status"] == "ok"

    for pid in pids:
        os.kill(pid, signal.SIGHUP)
    recipe.write_text(RECIPE.format(width=8))
    wait_for(lambda: renditions(tmp_path) == {"w=8,fm=jpeg.jpg"}, "the rendition after SIGHUP")
    assert set(pids) <= set(processes(server))
    assert server.stop() == 0
