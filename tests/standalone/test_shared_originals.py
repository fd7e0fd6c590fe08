"""The server's renderers share decoded originals, which do not outlive the originals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage

from image_processor.bootstrap.standalone import StandaloneContext, open_server_context
from image_processor.config.settings import Settings
from image_processor.delivery.request import HttpRequest
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Attributes
from image_processor.engine.worker.decoded_files import DecodedCounts
from image_processor.standalone import BUCKET
from image_processor.standalone.disk_space import DiskSpace, DiskState, DiskStatus

COFFEE = (Path(skimage.__file__).parent / "data" / "coffee.png").read_bytes()
RECIPE = '[presets.small]\nwidth = 20\nformats = ["jpeg"]\n[[rules]]\nmatch = "**"\npresets = ["small"]\n'
WAIT = 60


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 10)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    return Settings(data=tmp_path / "data", workers=1, allow_unsigned=True, recipe=recipe)


@pytest.fixture
def context(settings: Settings) -> Iterator[StandaloneContext]:
    with open_server_context(settings) as context:
        yield context


def render(context: StandaloneContext, *widths: int) -> None:
    for width in widths:
        request = HttpRequest("GET", "cat.png", f"w={width}&fm=jpeg", {})
        found = context.delivery.find(request)
        assert context.render_coordinator.request(found.ref).result(WAIT).is_stored


def put(context: StandaloneContext) -> None:
    """Store the original. Its processing, which the watcher begins, too, drops what was decoded before."""
    context.uploads.put("cat.png", COFFEE, Attributes("image/png"))
    process(context)


def process(context: StandaloneContext) -> None:
    context.submit(Upload(BUCKET, "cat.png", UploadKind.CREATED)).result(WAIT)


def test_renditions_by_url_share_a_decoded_original(context: StandaloneContext) -> None:
    put(context)
    render(context, 31, 32, 33, 34)
    assert context.decoded() == DecodedCounts(1, 600 * 400 * 3, found=2, decoded=2)


def test_an_original_that_others_wait_for_is_decoded_once(context: StandaloneContext) -> None:
    put(context)
    requests = [HttpRequest("GET", "cat.png", f"w={width}&fm=jpeg", {}) for width in (31, 32, 33)]
    refs = [context.delivery.find(request).ref for request in requests]
    for result in [context.render_coordinator.request(ref) for ref in refs]:
        assert result.result(WAIT).is_stored
    assert context.decoded() == DecodedCounts(1, 600 * 400 * 3, found=2, decoded=1)


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_what_is_decoded_is_dropped_with_its_original(context: StandaloneContext, change: str) -> None:
    put(context)
    render(context, 31, 32)
    process(context)
    assert context.decoded().files == 1, "the upload has not changed"
    if change == "deleted":
        context.uploads.delete("cat.png")
    else:
        context.uploads.put("cat.png", COFFEE + b"2", Attributes("image/png"))
    process(context)
    assert context.decoded().files == 0


def test_a_deletion_in_the_folder_is_noticed(context: StandaloneContext, settings: Settings) -> None:
    put(context)
    render(context, 31, 32)
    assert context.decoded().files == 1
    (settings.data / "uploads" / "cat.png").unlink()
    deadline = time.monotonic() + WAIT
    while context.decoded().files:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_is_kept_without_bytes_for_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, workers=1, allow_unsigned=True, decoded_bytes=0)
    with open_server_context(settings) as context:
        put(context)
        render(context, 31, 32, 33)
        assert context.decoded() == DecodedCounts()


def test_nothing_is_kept_where_room_is_low(
    context: StandaloneContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskSpace, "state", lambda _: DiskState(DiskStatus.LOW, 1))
    put(context)
    render(context, 31, 32, 33)
    assert context.decoded() == DecodedCounts(0, 0, found=0, decoded=3)


def test_decoded_originals_have_no_name(context: StandaloneContext, settings: Settings) -> None:
    put(context)
    before = sorted(settings.data.iterdir())
    render(context, 31, 32)
    assert context.decoded().files == 1
    assert sorted(settings.data.iterdir()) == before
