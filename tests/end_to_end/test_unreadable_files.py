"""A server meets files and folders that it may not read."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from support.permissions import obey_permissions
from support.served import Served

RECIPE = """
[presets.one]
width = 8
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["one"]
"""


def photo():
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path):
    uploads = tmp_path / "data" / "uploads"
    for name in ("a.jpg", "b.jpg", "c.jpg", "locked/d.jpg", "unsearchable/e.jpg"):
        (uploads / name).parent.mkdir(parents=True, exist_ok=True)
        (uploads / name).write_bytes(photo())
    server = Served(tmp_path, RECIPE, {"IMAGE_PROCESSOR_SWEEP_SECONDS": "1"})
    yield server
    for name in ("locked", "unsearchable"):
        (uploads / name).chmod(0o755)
    server.close()


def statuses(server):
    return {item["original"]: item["status"] for item in server.get("/images?limit=100")["images"]}


def test_files_and_folders_without_permission_stop_nothing_and_are_processed_once_they_have_it(
    server, tmp_path
):
    uploads = tmp_path / "data" / "uploads"
    (uploads / "b.jpg").chmod(0)
    (uploads / "link.jpg").symlink_to("locked/d.jpg")
    (uploads / "locked").chmod(0)
    (uploads / "unsearchable").chmod(0o444)
    server.start(preexec_fn=obey_permissions)
    expected = {"a.jpg": "processed", "b.jpg": "refused", "c.jpg": "processed"}
    server.wait_until(lambda: statuses(server) == expected)
    server.wait_until(lambda: server.get("/health")["unreadable"] == 1)
    assert server.get("/health")["status"] == "ok"
    assert server.get("/images?status=refused")["images"][0]["reason"] == "unreadable"
    (uploads / "b.jpg").chmod(0o644)
    (uploads / "locked").chmod(0o755)
    (uploads / "unsearchable").chmod(0o755)
    names = (*expected, "link.jpg", "locked/d.jpg", "unsearchable/e.jpg")
    server.wait_until(lambda: statuses(server) == dict.fromkeys(names, "processed"))
    server.wait_until(lambda: server.get("/health")["unreadable"] == 0)
    # Afterwards the folder is closed again: its original does not count as deleted.
    (uploads / "locked").chmod(0)
    server.wait_until(lambda: server.get("/health")["unreadable"] == 2)
    assert statuses(server) == dict.fromkeys(names, "processed")
    log = (tmp_path / "log").read_text()
    assert log.count("the folder 'locked' is not searched") == 1
    assert log.count("'b.jpg' is passed over") == 1
