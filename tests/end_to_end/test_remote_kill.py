"""A real server with a remote source: killed while it fetches, and with hits of a copy that expires."""

from __future__ import annotations

import io
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from support.scripted_http import Reply, Script, Seen, scripted
from support.served import RECIPE, WAIT, Served

PATH = "/renditions/shop/cat.png/w=32,fm=jpeg.jpg"


def picture() -> bytes:
    """Noise, of more bytes than fit into one read."""
    file = io.BytesIO()
    Image.effect_noise((800, 600), 90).convert("RGB").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def source() -> Iterator[Script]:
    with scripted(Reply()) as script:
        yield script


@pytest.fixture
def served(tmp_path: Path, source: Script) -> Iterator[Served]:
    settings = {
        "REMOTE_SOURCES": f"shop/={source.address}/photos/",
        "REMOTE_PRIVATE": "127.0.0.1",
        "REMOTE_MIN_SECONDS": "0",
        "SERVER_PROCESSES": "2",
    }
    served = Served(tmp_path, RECIPE, {f"IMAGE_PROCESSOR_{name}": value for name, value in settings.items()})
    yield served
    served.close()


def get(served: Served) -> bytes:
    with urllib.request.urlopen(served.address + PATH, timeout=WAIT) as response:
        body: bytes = response.read()
        return body


def test_a_kill_during_a_fetch_leaves_no_part_of_the_file(served: Served, source: Script) -> None:
    body = picture()
    arrived = threading.Event()

    def respond(_: Seen) -> Reply:
        if arrived.is_set():
            return Reply(body=body)
        arrived.set()
        return Reply(body=body, headers={"Content-Length": str(len(body) + 1)})  # its last byte never comes

    source.respond = respond
    served.start()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            get(served)
        except OSError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert arrived.wait(WAIT)
    uploads = served.folder / "data" / "uploads"
    served.wait_until(
        lambda: any(file.stat().st_size for file in uploads.rglob("*") if file.is_file()) or None
    )
    assert not (uploads / "shop" / "cat.png").exists()
    served.kill()
    asking.join(WAIT)
    assert errors
    assert not (uploads / "shop").exists()

    served.start()
    assert get(served).startswith(b"\xff\xd8")
    assert (uploads / "shop" / "cat.png").read_bytes() == body


def test_hits_of_an_expired_copy_have_its_source_asked(served: Served, source: Script) -> None:
    bodies = {'"1"': picture(), '"2"': picture()}
    current = '"1"'

    def respond(seen: Seen) -> Reply:
        headers = {"ETag": current, "Cache-Control": "max-age=1"}
        if seen.headers.get("if-none-match") == current:
            return Reply(304, headers=headers)
        return Reply(body=bodies[current], headers=headers)

    source.respond = respond
    served.start()
    assert get(served)
    served.wait_until(lambda: get(served) and len(source.seen) >= 3)
    assert all(seen.headers["if-none-match"] == '"1"' for seen in source.seen[1:])
    current = '"2"'
    stored = served.folder / "data" / "uploads" / "shop" / "cat.png"
    served.wait_until(lambda: get(served) and stored.read_bytes() == bodies['"2"'])
