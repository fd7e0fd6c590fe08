"""The server is killed in the middle of a request with an Idempotency-Key: sent again, it is run, and once it
has ended it is not run any more."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from support.plain_http import NO_CERTIFICATES
from support.served import WAIT, Served

RECIPE = """
[presets.slow]
widths = [1500]
formats = ["webp"]
effort = 6
[[rules]]
match = "**"
presets = ["slow"]
"""
KEY = {"idempotency-key": "a-key", "prefer": "wait=60"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path, RECIPE, {"IMAGE_PROCESSOR_WORKERS": "1"})
    server.start()
    yield server
    server.close()


def photo(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def post(server: Served, body: bytes, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=server.address, verify=NO_CERTIFICATES, timeout=WAIT) as client:
        form = {"data": {"key": "a.jpg"}, "files": {"file": ("a.jpg", body)}}
        return client.post("/uploads", headers={**KEY, **headers}, **form)  # type: ignore[arg-type]


def kill_in_the_middle(server: Served, body: bytes) -> None:
    """Kill the server after it has stored the original, and before it has answered."""

    def give_up() -> None:
        with suppress(httpx.TransportError):
            post(server, body)

    client = threading.Thread(target=give_up)
    client.start()
    server.wait_until((server.folder / "data" / "uploads" / "a.jpg").exists)
    assert client.is_alive(), "the photo was processed too quickly"
    port = urlsplit(server.address).port or 0
    server.kill()
    client.join(WAIT)
    server.start(port=port)


def test_a_form_is_run_again_after_the_server_was_killed_and_then_replayed(server: Served) -> None:
    body = photo(1)
    kill_in_the_middle(server, body)
    again = post(server, body)
    assert (again.status_code, again.json()["status"]) == (200, "processed")
    assert "idempotent-replayed" not in again.headers
    replayed = post(server, body)
    assert (replayed.content, replayed.headers["idempotent-replayed"]) == (again.content, "true")
    (image,) = server.get("/images")["images"]
    assert (image["version"], image["status"]) == (again.json()["version"], "processed")


def test_after_a_kill_a_key_is_free_and_a_condition_sees_what_was_stored(server: Served) -> None:
    kill_in_the_middle(server, photo(1))
    taken = post(server, photo(1), **{"if-none-match": "*"})
    assert (taken.status_code, taken.json()["code"]) == (412, "precondition-failed")
    other = post(server, photo(2))
    assert other.status_code == 200
    assert post(server, photo(1)).json()["code"] == "idempotency-key-reused"
