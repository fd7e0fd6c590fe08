"""Resumable uploads of the Python clients against a running server: broken connections, a killed
server, another process that continues."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from breaking_proxy import BreakingProxy
from client_kinds import KINDS, connected
from client_site import Site, jpeg
from PIL import Image

from image_processor_client import (
    ConnectionFailed,
    Forbidden,
    NotFound,
    PreconditionFailed,
    Progress,
    Refused,
    Skipped,
)

CHUNK = 100_000


@pytest.fixture(scope="module")
def photo() -> bytes:
    """Several chunks: noise compresses badly."""
    pixels = np.random.default_rng(1).integers(0, 255, (600, 500, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    assert 3 * CHUNK < len(buffer.getvalue()) < 1_000_000
    return buffer.getvalue()


class Stopped(Exception):
    """The program ends in the middle of an upload."""


def stop_after(count: int) -> tuple[list[Progress], Any]:
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.sent >= count:
            raise Stopped

    return told, tell


def stored(site: Site, key: str) -> bytes:
    return (site.uploads / key).read_bytes()


def test_a_file_is_sent_in_parts_and_processed(client: Any, key: str, site: Site, photo: bytes) -> None:
    told: list[Progress] = []
    image = client.upload_resumable(photo, key, wait=60, chunk_bytes=CHUNK, on_progress=told.append)
    assert (image.original, image.status, image.facts.width) == (key, "processed", 500)
    assert stored(site, key) == photo
    expected = [*range(0, len(photo), CHUNK), len(photo)]
    assert [progress.sent for progress in told] == expected
    assert {progress.total for progress in told} == {len(photo)}


def test_a_file_of_one_part_needs_no_wait(client: Any, key: str, photo: bytes) -> None:
    upload = client.upload_resumable(photo, key)
    assert (upload.key, upload.bytes, upload.status) == (key, len(photo), "queued")
    assert client.wait(upload, timeout=60).version == upload.version


def test_the_server_is_killed_and_only_the_rest_is_sent_again(
    client: Any, key: str, site: Site, photo: bytes
) -> None:
    told: list[int] = []

    def restart_once(progress: Progress) -> None:
        told.append(progress.sent)
        if progress.sent == 2 * CHUNK:
            site.server.kill()
            site.server.start(port=urlsplit(site.address).port or 0)

    client.upload_resumable(photo, key, chunk_bytes=CHUNK, on_progress=restart_once)
    assert stored(site, key) == photo
    assert told == [*range(0, len(photo), CHUNK), len(photo)]


@pytest.mark.parametrize("kind", KINDS)
def test_connections_that_break_in_the_middle_of_a_part_cost_the_rest_of_it(
    kind: str, key: str, site: Site, photo: bytes
) -> None:
    cuts = [150_000, 150_000]
    with BreakingProxy(site.address, cuts) as proxy:
        for client in connected(kind, proxy.address, token=site.token):
            client.upload_resumable(photo, key)
    assert stored(site, key) == photo
    assert cuts == []
    assert len(photo) < proxy.received < len(photo) + 2 * 100_000


def test_another_process_continues(client: Any, key: str, site: Site, photo: bytes, tmp_path: Path) -> None:
    told, tell = stop_after(2 * CHUNK)
    path = tmp_path / "cat.jpg"
    path.write_bytes(photo)
    with pytest.raises(Stopped):
        client.upload_resumable(path, key, chunk_bytes=CHUNK, on_progress=tell)
    resume = json.loads(json.dumps(told[-1].resume))
    again: list[Progress] = []
    client.upload_resumable(path, key, resume=resume, chunk_bytes=CHUNK, on_progress=again.append)
    assert stored(site, key) == photo
    assert again[0] == told[-1]
    # What is stored already is not sent again.
    finished = client.upload_resumable(path, key, resume=resume)
    assert client.wait(finished, timeout=60).version == finished.version


def test_another_file_does_not_continue_an_upload(client: Any, key: str, photo: bytes) -> None:
    told, tell = stop_after(CHUNK)
    with pytest.raises(Stopped):
        client.upload_resumable(photo, key, chunk_bytes=CHUNK, on_progress=tell)
    resume = told[-1].resume
    for body, other in ((photo + b"x", key), (photo, "another.jpg")):
        with pytest.raises(ValueError, match="expected the file and the key that the upload began with"):
            client.upload_resumable(body, other, resume=resume)


def test_an_upload_that_the_server_has_lost_begins_again(
    client: Any, key: str, site: Site, photo: bytes
) -> None:
    lost: list[int] = []

    def lose_once(progress: Progress) -> None:
        if progress.sent == 2 * CHUNK and not lost:
            lost.append(progress.sent)
            shutil.rmtree(site.server.folder / "data" / "resumable")

    client.upload_resumable(photo, key, chunk_bytes=CHUNK, on_progress=lose_once)
    assert lost == [2 * CHUNK]
    assert stored(site, key) == photo
    told: list[Progress] = []
    client.upload_resumable(photo, key, resume="/resumable/unknown", on_progress=told.append)
    assert [progress.sent for progress in told] == [0, len(photo)]


def test_the_rules_of_uploads_hold(client: Any, key: str, photo: bytes) -> None:
    client.upload(jpeg(), key)
    with pytest.raises(PreconditionFailed):
        client.upload_resumable(photo, key, overwrite=False)
    with pytest.raises(Refused, match="the upload has no bytes"):
        client.upload_resumable(b"", key)
    with pytest.raises(Refused, match="expected at most 1048576 bytes"):
        client.upload_resumable(bytes(1_100_000), key)
    with pytest.raises(Skipped):
        client.upload_resumable(photo, "private/a.jpg")
    with pytest.raises(ValueError, match="expected a key for a file without a name"):
        client.upload_resumable(photo)
    with pytest.raises(Refused, match="422 refused"):
        client.upload_resumable(b"no image", "none.jpg", wait=60)


def test_a_file_that_becomes_shorter_is_an_error(client: Any, key: str, tmp_path: Path, photo: bytes) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(photo)

    def cut(progress: Progress) -> None:
        if progress.sent == CHUNK:
            path.write_bytes(photo[: CHUNK + 10])

    with pytest.raises(ValueError, match=f"expected a file of {len(photo)} bytes, got {CHUNK + 10}"):
        client.upload_resumable(path, key, chunk_bytes=CHUNK, on_progress=cut)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_stays_away_is_given_up(kind: str, key: str, site: Site, photo: bytes) -> None:
    def kill(progress: Progress) -> None:
        if progress.sent == CHUNK:
            site.server.kill()

    for client in connected(kind, site.address, token=site.token, attempts=2):
        with pytest.raises(ConnectionFailed):
            client.upload_resumable(photo, key, chunk_bytes=CHUNK, on_progress=kill)
    site.server.start(port=urlsplit(site.address).port or 0)


def test_a_file_of_a_remote_source_is_imported(client: Any, key: str, site: Site) -> None:
    url = site.source + "cat.jpg"
    image = client.import_url(url, wait=60)
    assert (image.original, image.status) == ("fetched/cat.jpg", "processed")
    upload = client.import_url(url, key)
    assert stored(site, key) == jpeg()
    assert (upload.key, upload.bytes) == (key, len(jpeg()))
    with pytest.raises(PreconditionFailed):
        client.import_url(url, key, overwrite=False)
    assert client.import_url(url, key, if_version=upload.version).key == key
    with pytest.raises(Forbidden, match="403 source-not-allowed") as caught:
        client.import_url("https://elsewhere.example/cat.jpg")
    assert caught.value.status == 403
    with pytest.raises(NotFound):
        client.import_url(site.source + "none.jpg")
