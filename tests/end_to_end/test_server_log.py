"""What `serve` writes while it works: lines that programs read, and what becomes of each file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from support.plain_http import NO_CERTIFICATES
from support.served import Served
from support.waiting import wait_for

STORED = "/renditions/a.png/w=8,fm=jpeg.jpg"
RECIPE = '[presets.a]\nwidth = 8\nformats = ["jpeg"]\n[[rules]]\nmatch = "**"\npresets = ["a"]\n'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    settings = {
        "IMAGE_PROCESSOR_LOG_FORMAT": "json",
        "IMAGE_PROCESSOR_LOG_HITS": "1",
        "IMAGE_PROCESSOR_WORKERS": "1",
        "IMAGE_PROCESSOR_SERVER_PROCESSES": "2",
    }
    server = Served(tmp_path, RECIPE, settings)
    server.start()
    yield server
    server.close()


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "log").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_refused_and_processed_files_are_reported(server: Served, tmp_path: Path) -> None:
    uploads = tmp_path / "data" / "uploads"
    (uploads / "notes.jpg").write_text("no image")
    Image.new("RGB", (64, 48), "red").save(uploads / "a.png")

    def outcomes() -> dict[str, dict[str, Any]]:
        return {line["key"]: line for line in lines(tmp_path) if line["logger"] == "image_processor.outcomes"}

    wait_for(lambda: len(outcomes()) == 2, "two outcomes")
    refused, processed = outcomes()["notes.jpg"], outcomes()["a.png"]
    assert (refused["level"], refused["status"], refused["reason"]) == ("WARNING", "refused", "not-an-image")
    assert "only the content counts" in refused["message"]
    assert (processed["level"], processed["renditions"]) == ("INFO", 1)

    ids = []
    with httpx.Client(
        base_url=server.address, verify=NO_CERTIFICATES
    ) as client:  # urllib closes its connections
        for _ in range(20):
            response = client.get(STORED)
            assert response.status_code == 200
            ids.append(response.headers["x-request-id"])

    def rendition_lines() -> dict[str, str]:
        found = [line for line in lines(tmp_path) if line.get("path") == STORED]
        return {line["request_id"]: line["logger"] for line in found}

    wait_for(lambda: len(rendition_lines()) == 20, "a line for each response")
    assert set(rendition_lines()) == set(ids)
    assert "image_processor.hits" in rendition_lines().values()

    server.get("/images")
    wait_for(lambda: [line for line in lines(tmp_path) if line.get("path") == "/images"], "the request")
