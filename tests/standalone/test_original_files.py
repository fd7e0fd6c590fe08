"""One machine: renderers read originals by themselves, so that no other process holds them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from image_processor.bootstrap.local_library import open_stores
from image_processor.bootstrap.workers import open_workers, original_opener
from image_processor.config.recipe import parse_recipe
from image_processor.config.settings import Settings
from image_processor.domain.models import OutcomeStatus, Upload, UploadKind
from image_processor.domain.ports import StoredObject
from image_processor.standalone import BUCKET
from image_processor.standalone.disk_space import DiskSpace
from image_processor.standalone.progress import Progress
from image_processor.standalone.space_aware_store import SpaceAwareStore
from image_processor.storage.directory import DirectoryStore
from support.ingest import IngestFixture

RECIPE = '[presets.small]\nwidth = 20\nformats = ["jpeg"]\n[[rules]]\nmatch = "**"\npresets = ["small"]\n'


def test_workers_do_not_read_originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_: DirectoryStore, key: str, **_options: object) -> StoredObject:
        raise AssertionError(f"{key} was read")

    settings = Settings(data=tmp_path, workers=1)
    with open_stores(settings) as stores:
        Image.new("RGB", (60, 40), "red").save(tmp_path / "uploads" / "cat.jpg")
        monkeypatch.setattr(DirectoryStore, "get", get)
        recipe = parse_recipe(RECIPE)
        with open_workers(settings, recipe, {BUCKET: stores}, "test:", Progress()) as workers:
            outcome = workers.submit(Upload(BUCKET, "cat.jpg", UploadKind.CREATED)).result(60)
    assert outcome.status is OutcomeStatus.PROCESSED


def test_a_store_without_files_has_none_to_open(tmp_path: Path) -> None:
    disk = DiskSpace((tmp_path,), 0)
    directory = DirectoryStore(tmp_path / "uploads")
    assert original_opener(SpaceAwareStore(directory, disk, keeps_reserve=True)) == directory.open_original
    assert original_opener(IngestFixture().uploads) is None
