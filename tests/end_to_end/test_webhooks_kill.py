"""The server is killed while a receiver of webhooks fails, and is started again: each event arrives."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections import Counter

import pytest
from PIL import Image

from support.scripted_http import Reply, scripted
from support.served import Served

PHOTOS = 12
RECIPE = """
[presets.one]
width = 8
formats = ["png"]
[[rules]]
match = "**"
presets = ["one"]
"""


@pytest.fixture
def receiver():
    """Fails twice for each event; ``tries`` counts them."""
    tries: Counter[str] = Counter()
    lock = threading.Lock()

    def respond(seen):
        with lock:
            tries[seen.headers["webhook-id"]] += 1
            return Reply(200 if tries[seen.headers["webhook-id"]] > 2 else 500)

    with scripted(Reply(200)) as script:
        script.respond = respond
        script.tries = tries
        yield script


def fill(folder):
    uploads = folder / "data" / "uploads"
    uploads.mkdir(parents=True, exist_ok=True)
    for number in range(PHOTOS):
        buffer = io.BytesIO()
        Image.new("RGB", (16, 12), (number, 0, 0)).save(buffer, "PNG")
        body = buffer.getvalue()
        (folder / "moving").write_bytes(body[:40] if number == 0 else body)
        shutil.move(folder / "moving", uploads / f"{number}.png")


def test_a_receiver_that_fails_twice_gets_each_event_across_a_kill(receiver, tmp_path):
    settings = {
        "IMAGE_PROCESSOR_WEBHOOK_URL": f"{receiver.address}/hook",
        "IMAGE_PROCESSOR_WEBHOOK_SECRET": "whsec_" + "YSBzZWNyZXQgb2YgdHdlbnR5LWZvdXIgYg==",
    }
    server = Served(tmp_path, RECIPE, settings)
    try:
        fill(tmp_path)
        server.start()
        server.wait_until(lambda: len(receiver.tries) >= PHOTOS // 3)
        server.kill()
        server.start()
        server.wait_until(lambda: len(receiver.tries) == PHOTOS and min(receiver.tries.values()) > 2)
        server.wait_until(lambda: server.get("/health")["events"] == {"waiting": 0, "dead": 0})
        assert server.stop() == 0
    finally:
        server.close()
    last = {seen.headers["webhook-id"]: json.loads(seen.body) for seen in receiver.seen}
    keys = Counter(event["data"]["key"] for event in last.values())
    assert keys == {f"{number}.png": 1 for number in range(PHOTOS)}
    refused = {event["data"]["key"] for event in last.values() if event["type"] == "image.refused"}
    assert refused == {"0.png"}
    processed = next(event["data"] for event in last.values() if event["type"] == "image.processed")
    assert processed["renditions"][0]["url"].startswith("/renditions/")
