"""The server is killed while it receives a resumable upload, and tus-js-client continues it."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from support.plain_http import NO_CERTIFICATES
from support.served import RECIPE, WAIT, Served

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "studio" / "node_modules" / "tus-js-client" / "lib.esm" / "node" / "index.js"
TUS = {"tus-resumable": "1.0.0"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    if not LIBRARY.exists() or shutil.which("node") is None:
        message = "tus-js-client is not installed: run `npm ci` in studio"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    server = Served(tmp_path, RECIPE)
    server.start()
    yield server
    server.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """An image of about a megabyte: noise compresses badly."""
    pixels = np.random.default_rng(1).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    path = tmp_path / "noise.jpg"
    path.write_bytes(buffer.getvalue())
    assert path.stat().st_size > 500_000
    return path


def upload(server: Served, file: Path, key_or_address: str) -> subprocess.Popen[str]:
    command = ["node", ROOT / "tests" / "end_to_end" / "tus_upload.mjs", LIBRARY, file]
    return subprocess.Popen(
        [*command, f"{server.address}/resumable", key_or_address], stdout=subprocess.PIPE, text=True
    )


def restart(server: Served) -> None:
    port = urlsplit(server.address).port
    server.kill()
    server.start(port=port or 0)


def images(server: Served) -> list[dict[str, str]]:
    found: list[dict[str, str]] = server.get("/images")["images"]
    return found


def check_processed(server: Served, file: Path) -> None:
    """The original has exactly the file's bytes, and is processed."""
    stored = server.folder / "data" / "uploads" / "photos" / file.name
    assert stored.read_bytes() == file.read_bytes()
    server.wait_until(lambda: [item["status"] for item in images(server)] == ["processed"])
    left = list((server.folder / "data" / "resumable").glob("*.part"))
    assert left == []


def test_an_upload_continues_where_a_killed_server_stopped(server: Served, photo: Path) -> None:
    body = photo.read_bytes()
    half = len(body) // 2
    with httpx.Client(base_url=server.address, verify=NO_CERTIFICATES, timeout=WAIT) as client:
        metadata = {"upload-metadata": "key cGhvdG9zL25vaXNlLmpwZw=="}
        begun = client.post("/resumable", headers={**TUS, **metadata, "upload-length": str(len(body))})
    where = f"/{begun.headers['location']}"
    head = [f"PATCH {where} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    head += ["Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"]
    address = urlsplit(server.address)
    part = server.folder / "data" / f"{where[1:]}.part"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body[:half])
        server.wait_until(lambda: part.stat().st_size == half)
        assert images(server) == []
        restart(server)
    assert images(server) == []

    client = upload(server, photo, f"{server.address}{where}")
    told = client.communicate(timeout=WAIT)[0].splitlines()
    accepted = [int(line.split()[1]) for line in told if line.startswith("accepted ")]
    assert accepted, told
    assert half < accepted[0] <= half + 64 * 1024
    assert told[-1].startswith("stored /images/")
    check_processed(server, photo)


def test_a_client_goes_on_by_itself_after_the_server_was_killed(server: Served, photo: Path) -> None:
    client = upload(server, photo, "photos/noise.jpg")
    assert client.stdout is not None
    assert client.stdout.readline().startswith("accepted ")
    restart(server)
    told = client.communicate(timeout=WAIT)[0].splitlines()
    assert told[-1].startswith("stored /images/")
    check_processed(server, photo)
