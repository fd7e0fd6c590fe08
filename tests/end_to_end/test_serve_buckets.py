"""`serve` with originals and renditions in (emulated) S3, and the catalog in a file or in DynamoDB."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_processor.domain.keys import image_id
from image_processor.domain.ports import Attributes
from image_processor.standalone.bucket_mark import KEY, read_mark
from image_processor.storage.s3 import S3Store
from support import aws
from support.counting_proxy import counting_proxy
from support.served import RECIPE, Served
from support.waiting import wait_for

RENDITION = "w=32,fm=jpeg.jpg"
AWS_VARIABLES = {"AWS_REGION": aws.REGION, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PNG = Attributes("image/png")
SOON = {"standalone.coordination.LEASE_SECONDS": 6, "standalone.coordination.RENEW_SECONDS": 1}
"""In use a dead coordinator is waited for 15 seconds. A server of a busy machine renews within six, too."""
Start = Callable[..., Served]


def photo(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "PNG")
    return file.getvalue()


class Buckets:
    """Two new buckets, and the variables that name them."""

    def __init__(self) -> None:
        endpoint = aws.address()
        upload, processed = aws.make_bucket(endpoint), aws.make_bucket(endpoint)
        self.name = upload
        self.uploads = aws.open_store(endpoint, upload)
        self.processed = aws.open_store(endpoint, processed)
        self.settings = {
            **AWS_VARIABLES,
            "AWS_ENDPOINT_URL": endpoint,
            "IMAGE_PROCESSOR_UPLOAD_BUCKET": upload,
            "IMAGE_PROCESSOR_PROCESSED_BUCKET": processed,
            "IMAGE_PROCESSOR_SWEEP_SECONDS": "1",
            "IMAGE_PROCESSOR_WORKERS": "1",
        }


@pytest.fixture
def buckets() -> Buckets:
    return Buckets()


@pytest.fixture(params=["sqlite", "dynamodb"])
def settings(request: pytest.FixtureRequest, buckets: Buckets) -> dict[str, str]:
    if request.param == "sqlite":
        return buckets.settings
    return {**buckets.settings, "IMAGE_PROCESSOR_TABLE": aws.make_table(aws.address())}


@pytest.fixture
def start(tmp_path: Path, settings: dict[str, str]) -> Iterator[Start]:
    started: list[Served] = []

    def start_another(**more: str) -> Served:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        server = Served(folder, RECIPE, {**settings, **more}, SOON)
        started.append(server)
        server.start()
        return server

    yield start_another
    for server in started:
        server.close()


def put(server: Served, key: str, body: bytes) -> Any:
    request = urllib.request.Request(f"{server.address}/uploads/{key}", body, method="PUT")
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def keys(store: S3Store) -> list[str]:
    """All but the mark of the catalog."""
    return [entry.key for entry in store.list() if entry.key != KEY]


def record(server: Served, buckets: Buckets, key: str) -> Any:
    try:
        return server.get(f"/images/{image_id(buckets.name, key)}")
    except urllib.error.HTTPError:
        return None


def is_processed(server: Served, buckets: Buckets, key: str) -> bool:
    found = record(server, buckets, key)
    return found is not None and found["status"] == "processed"


def test_uploads_through_the_api_and_straight_to_the_bucket_are_served(
    start: Start, buckets: Buckets
) -> None:
    server = start()
    put(server, "a.png", photo("red"))
    buckets.uploads.put("b.png", photo("blue"), PNG)
    for key in ("a.png", "b.png"):
        wait_for(lambda key=key: is_processed(server, buckets, key), key)  # type: ignore[misc]
        with urllib.request.urlopen(f"{server.address}/renditions/{key}/{RENDITION}") as response:
            assert response.read(3) == b"\xff\xd8\xff"
    assert set(keys(buckets.processed)) == {f"{key}/{RENDITION}" for key in ("a.png", "b.png")}
    assert not (server.folder / "data" / "uploads").exists()

    buckets.uploads.delete("b.png")
    wait_for(lambda: keys(buckets.processed) == [f"a.png/{RENDITION}"], "the deletion")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_resumable_upload_goes_to_the_bucket_when_it_is_complete(start: Start, buckets: Buckets) -> None:
    server, body = start(), photo("red")
    tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    metadata = {"Upload-Metadata": "key YS5wbmc=", "Upload-Length": str(len(body)), "If-None-Match": "*"}
    begin = urllib.request.Request(
        f"{server.address}/resumable", body[:50], {**tus, **metadata}, method="POST"
    )
    with urllib.request.urlopen(begin) as response:
        assert response.headers["Upload-Offset"] == "50"
        path = response.headers["Location"]
    assert keys(buckets.uploads) == []
    server.kill()
    server.start()
    where = f"{server.address}/{path}"
    rest = urllib.request.Request(where, body[50:], {**tus, "Upload-Offset": "50"}, method="PATCH")
    with urllib.request.urlopen(rest) as response:
        assert response.headers["Upload-Offset"] == str(len(body))
    assert buckets.uploads.get("a.png").body == body
    wait_for(lambda: is_processed(server, buckets, "a.png"), "the rendition")


def test_another_server_continues_with_what_it_finds(start: Start, buckets: Buckets) -> None:
    server = start()
    put(server, "a.png", photo("red"))
    wait_for(lambda: is_processed(server, buckets, "a.png"), "the rendition")
    version = buckets.processed.head(f"a.png/{RENDITION}").entry.version
    server.kill()
    server.start()
    buckets.uploads.put("b.png", photo("blue"), PNG)
    wait_for(lambda: is_processed(server, buckets, "b.png"), "the second original")
    assert buckets.processed.head(f"a.png/{RENDITION}").entry.version == version


@pytest.mark.parametrize("settings", ["dynamodb"], indirect=True)
def test_two_servers_share_buckets_and_a_table(start: Start, buckets: Buckets) -> None:
    servers = [start(), start()]
    names = [f"{number}.png" for number in range(8)]
    for number, name in enumerate(names):
        put(servers[number % 2], name, photo("red"))
    for name in names:
        for server in servers:
            wait_for(
                lambda name=name, server=server: is_processed(server, buckets, name),  # type: ignore[misc]
                name,
            )
    assert set(keys(buckets.processed)) == {f"{name}/{RENDITION}" for name in names}
    for name in names:
        wait_for(lambda name=name: is_logged(servers, name), f"the log of {name}")  # type: ignore[misc]
    logs = "".join(map(log_of, servers))
    assert {logs.count(f" {name} processed ") for name in names} == {1}


def coordinator_of(server: Served) -> str | None:
    coordinator: str | None = server.get("/health")["coordination"]["coordinator"]
    return coordinator


def is_coordinator(server: Served) -> bool:
    return bool(server.get("/health")["coordination"]["is_own"])


def log_of(server: Served) -> str:
    return (server.folder / "log").read_text()


def is_logged(servers: Sequence[Served], key: str) -> bool:
    """Whether one of them has said that it has processed ``key``, which comes after the record says so."""
    return any(f" {key} processed " in log_of(server) for server in servers)


@pytest.mark.parametrize("settings", ["dynamodb"], indirect=True)
def test_one_of_two_servers_searches_and_the_other_takes_over_when_it_is_killed(
    start: Start, buckets: Buckets, settings: dict[str, str]
) -> None:
    first = start()
    wait_for(lambda: is_coordinator(first), "the first coordinator")
    second = start()
    name = wait_for(lambda: coordinator_of(second), "the name of the coordinator")
    assert name == coordinator_of(first) == first.get("/health")["coordination"]["server"]
    assert not is_coordinator(second)
    told = doctor(settings, first.folder)
    assert told["coordinator"] == name

    found = [f"found-{number}.png" for number in range(4)]
    for key in found:
        buckets.uploads.put(key, photo("red"), PNG)
    for key in found:
        wait_for(lambda key=key: is_processed(second, buckets, key), key)  # type: ignore[misc]
    assert [log_of(second).count(f" {key} processed ") for key in found] == [0] * 4
    own = [f"own-{number}.png" for number in range(4)]
    for key in own:
        put(second, key, photo("blue"))
    for key in own:
        wait_for(lambda key=key: is_processed(second, buckets, key), key)  # type: ignore[misc]
        wait_for(lambda key=key: is_logged([first, second], key), f"the log of {key}")  # type: ignore[misc]
    # The search of the other one, each second, may be before it with one of them.
    assert any(is_logged([second], key) for key in own)

    first.kill()
    buckets.uploads.put("lost.png", photo("green"), PNG)
    wait_for(lambda: is_coordinator(second), "the second coordinator")
    wait_for(lambda: is_processed(second, buckets, "lost.png"), "what the first one left")
    with urllib.request.urlopen(f"{second.address}/metrics") as response:
        assert b"image_processor_coordinator 1.0" in response.read()

    first.start()
    assert not is_coordinator(first)
    assert second.stop() == 0
    wait_for(lambda: is_coordinator(first), "the role that the second one has left")
    wait_for(lambda: is_logged([first, second], "lost.png"), "the log of it")
    logs = "".join(map(log_of, (first, second)))
    assert {logs.count(f" {key} processed ") for key in (*own, "lost.png")} == {1}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_server_with_a_catalog_of_its_own_does_not_start_over_the_buckets_of_another(
    start: Start, buckets: Buckets, settings: dict[str, str], tmp_path: Path
) -> None:
    first = start()
    put(first, "a.png", photo("red"))
    wait_for(lambda: is_processed(first, buckets, "a.png"), "the rendition")
    own, others = doctor(settings, first.folder)["bucket_mark"], doctor(settings, tmp_path)["bucket_mark"]
    assert own.startswith("of the server ")
    assert "another catalog" not in own
    assert others.startswith(f"{own}, with another catalog (")
    with pytest.raises(AssertionError, match="works in these buckets with another catalog") as refused:
        start()
    assert "Set IMAGE_PROCESSOR_TABLE for all of them" in str(refused.value)
    with pytest.raises(AssertionError, match="works in these buckets with another catalog"):
        start(IMAGE_PROCESSOR_TABLE=aws.make_table(aws.address()))
    # The mark survives searches, and the death of its server, which starts again at once.
    mark = read_mark(buckets.processed).mark
    first.kill()
    first.start()
    buckets.uploads.put("b.png", photo("blue"), PNG)
    wait_for(lambda: is_processed(first, buckets, "b.png"), "a search")
    again = read_mark(buckets.processed).mark
    assert mark is not None
    assert again is not None
    assert (again.catalog, again.server == mark.server) == (mark.catalog, False)
    assert first.get("/health")["status"] == "ok"
    assert first.stop() == 0
    assert read_mark(buckets.processed).mark is None
    start()


@pytest.mark.parametrize("settings", ["dynamodb"], indirect=True)
def test_only_the_coordinator_lists_originals(start: Start, buckets: Buckets) -> None:
    with ExitStack() as stack:
        ways = [stack.enter_context(counting_proxy(aws.address(), f"/{buckets.name}/?")) for _ in range(2)]
        first = start(AWS_ENDPOINT_URL=ways[0].address)
        wait_for(lambda: is_coordinator(first), "the first coordinator")
        second = start(AWS_ENDPOINT_URL=ways[1].address)
        wait_for(lambda: coordinator_of(second), "the name of the coordinator")
        before = ways[0].count
        wait_for(lambda: ways[0].count >= before + 3, "three searches")
        assert ways[1].count == 0
        first.kill()
        wait_for(lambda: is_coordinator(second), "the second coordinator")
        wait_for(lambda: ways[1].count >= 3, "its searches")


def doctor(settings: dict[str, str], folder: Path) -> Any:
    command = [sys.executable, "-m", "image_processor", "doctor", "--json"]
    told = subprocess.run(
        command, cwd=folder, env={**os.environ, **settings}, capture_output=True, check=True
    )
    return json.loads(told.stdout)
