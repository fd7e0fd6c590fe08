"""A server whose disk fills up, and gets room again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest
from PIL import Image

from support.served import Served

RECIPE = """
[presets.one]
width = 8
formats = ["jpeg"]
[[rules]]
match = "**"
presets = ["one"]
"""
SETTINGS = {"IMAGE_PROCESSOR_ALLOW_UNSIGNED": "1", "IMAGE_PROCESSOR_WORKERS": "1"}


def photo(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 12), colour).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path):
    """A server whose data is on a file system of 16 MB."""
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(data)]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    server = Served(tmp_path, RECIPE, SETTINGS)
    yield server
    server.close()
    subprocess.run(["umount", "-l", str(data)], check=True)


def send(server, method, path, body=None):
    """Status and body of the response."""
    request = urllib.request.Request(server.address + path, body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def health(server):
    status, body = send(server, "GET", "/health")
    return status, json.loads(body)


def processed(server):
    return {item["original"] for item in server.get("/images?status=processed")["images"]}


def test_a_full_disk_is_said_reading_goes_on_and_room_ends_it(server, tmp_path):
    filler = tmp_path / "data" / "filler"
    server.start()
    assert send(server, "PUT", "/uploads/a.jpg", photo("teal"))[0] == 201
    server.wait_until(lambda: processed(server) == {"a.jpg"})
    disk = os.statvfs(tmp_path / "data")
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize)

    status, body = send(server, "PUT", "/uploads/b.jpg", photo("navy"))
    assert (status, json.loads(body)["code"]) == (507, "insufficient-storage")
    status, state = health(server)
    assert (status, state["status"], state["free_bytes"]) == (503, "degraded", 0)
    assert "0 MB free for data, expected 1 MB" in state["detail"]
    assert send(server, "GET", "/renditions/a.jpg/w=8,fm=jpeg.jpg")[0] == 200
    for _ in range(2):  # made for each reader, and not stored
        assert send(server, "GET", "/renditions/a.jpg?w=4&fm=jpeg")[0] == 200
    assert not [*(tmp_path / "data" / "processed").rglob("*w=4*")]

    filler.unlink()
    server.wait_until(lambda: health(server)[0] == 200)
    assert send(server, "PUT", "/uploads/b.jpg", photo("navy"))[0] == 201
    server.wait_until(lambda: processed(server) == {"a.jpg", "b.jpg"})
    log = (tmp_path / "log").read_text()
    assert log.count("uploads are refused") == 1
    assert log.count("there is room again") == 1


def test_an_upload_that_the_disk_cannot_hold_leaves_nothing_and_its_reason_in_the_log(server, tmp_path):
    server.start()
    assert send(server, "PUT", "/uploads/big.jpg", photo("teal") + bytes(20_000_000))[0] == 507
    assert health(server)[0] == 503
    assert "a write failed: 'big.jpg': No space left on device" in (tmp_path / "log").read_text()
    assert [path.name for path in (tmp_path / "data" / "uploads").rglob("*.jpg")] == []
    server.wait_until(lambda: health(server)[0] == 200)  # the probe finds room for others
    assert send(server, "PUT", "/uploads/a.jpg", photo("teal"))[0] == 201
    server.wait_until(lambda: processed(server) == {"a.jpg"})
