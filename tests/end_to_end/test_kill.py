"""The server is killed while it processes photos, and is started again."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import Status
from image_processor.storage.directory import DirectoryStore
from support.served import WAIT, Served

PHOTOS = 200 if os.environ.get("STRESS") else 60
TRUNCATED = PHOTOS // 20
RECIPE = """
[presets.two]
widths = [32, 64]
formats = ["jpeg", "avif"]
[[rules]]
match = "**"
presets = ["two"]
"""


@pytest.fixture
def server(tmp_path):
    server = Served(tmp_path, RECIPE)
    yield server
    server.close()


def photo(number):
    """A small image that is different for every number."""
    random = np.random.default_rng(number)
    pixels = np.kron(random.integers(0, 255, (12, 16, 3), dtype=np.uint8), np.ones((6, 6, 1), np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def fill(folder):
    """Move photos into the upload directory, each in one step; some of them are truncated."""
    outside = folder / "outside"
    outside.mkdir()
    for number in range(PHOTOS):
        body = photo(number)
        (outside / f"{number}.jpg").write_bytes(body[: len(body) // 2] if number < TRUNCATED else body)
    uploads = folder / "data" / "uploads"
    uploads.mkdir(parents=True, exist_ok=True)
    for path in outside.iterdir():
        shutil.move(path, uploads / path.name)


def records(folder):
    catalog = SqliteCatalog(folder / "data" / "catalog.sqlite")
    try:
        return {record.key: record for record in catalog.scan()}
    finally:
        catalog.close()


def finished(folder):
    return {key: record for key, record in records(folder).items() if record.status is not Status.PROCESSING}


def begun(folder):
    """The number of originals that have a rendition: cheaper to read than records."""
    processed = folder / "data" / "processed"
    return sum(path.name.endswith(".jpg") for path in processed.iterdir())


def test_a_kill_while_photos_are_processed_loses_and_repeats_nothing(server, tmp_path):
    fill(tmp_path)
    server.start()
    server.wait_until(lambda: begun(tmp_path) >= PHOTOS // 3)
    server.kill()
    before = finished(tmp_path)
    assert PHOTOS // 4 <= len(before) < PHOTOS, "the kill came too early or too late"

    server.start()
    server.wait_until(lambda: server.get("/health")["backlog"] == 0 and len(finished(tmp_path)) == PHOTOS)
    assert server.stop() == 0

    after = records(tmp_path)
    assert set(after) == {f"{number}.jpg" for number in range(PHOTOS)}
    refused = {key for key, record in after.items() if record.status is Status.REFUSED}
    assert refused == {f"{number}.jpg" for number in range(TRUNCATED)}
    assert {record.revision for record in after.values()} == {1}, "a photo was processed twice"
    assert {key: after[key] for key in before} == before, "finished work was repeated"
    assert_complete_files_only(tmp_path, after)


def assert_complete_files_only(folder, after):
    """The processed directory holds exactly the recorded renditions, and each can be decoded."""
    processed = folder / "data" / "processed"
    recorded = {rendition.key: rendition for record in after.values() for rendition in record.renditions}
    entries = {entry.key: entry for entry in DirectoryStore(processed).list()}
    assert set(entries) == set(recorded)
    assert len(recorded) == 4 * (PHOTOS - TRUNCATED)
    for key, rendition in recorded.items():
        assert key.startswith(rendition_prefix(key.split("/")[0]))
        with Image.open(processed / key) as image:
            image.load()
            assert image.size == (rendition.metadata.width, rendition.metadata.height)
    temporary = [path for path in (processed / ".image-processor" / "tmp").rglob("*") if path.is_file()]
    assert temporary == [], "the killed server left a temporary file"


def test_a_stop_by_signal_finishes_or_releases_the_work_in_progress(server, tmp_path):
    fill(tmp_path)
    server.start()
    server.wait_until(lambda: len(finished(tmp_path)) >= 5)
    assert server.stop() == 0
    catalog = SqliteCatalog(tmp_path / "data" / "catalog.sqlite")
    try:
        assert catalog.release_owner("") == 0, "the server left a lease"
        assert len(list(catalog.scan())) < PHOTOS
    finally:
        catalog.close()


def test_a_second_server_on_the_same_data_exits_with_an_error(server, tmp_path):
    server.start()
    program = [sys.executable, "-m", "image_processor", "serve", "--data", "data", "--port", "0"]
    second = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT, check=False)
    assert second.returncode == 3
    assert "a server already works on data" in second.stderr
