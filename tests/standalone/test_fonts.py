"""The directory of fonts in the settings reaches the processes that render text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from image_processor.bootstrap.aws import open_aws_context
from image_processor.bootstrap.workers import open_workers
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import InvalidSettings
from image_processor.standalone.progress import Progress

MESSAGE = "a directory with font files for IMAGE_PROCESSOR_FONTS"


@pytest.fixture
def fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FONTCONFIG_FILE", "before")
    directory = tmp_path / "fonts"
    directory.mkdir()
    (directory / "any.ttf").write_bytes(b"")
    return directory


def cloud(fonts: Path) -> dict[str, str]:
    values = {"UPLOAD_BUCKET": "uploads", "PROCESSED_BUCKET": "renditions", "FONTS": str(fonts)}
    return {f"IMAGE_PROCESSOR_{name}": value for name, value in values.items()}


def test_workers_pass_the_fonts_to_their_child_processes(fonts: Path) -> None:
    recipe = parse_recipe(DEFAULT_RECIPE)
    with open_workers(Settings(fonts=fonts, workers=1), recipe, {}, "test:", Progress()):
        assert str(fonts) in Path(os.environ["FONTCONFIG_FILE"]).read_text()


def test_a_machine_with_an_empty_directory_does_not_start(tmp_path: Path) -> None:
    settings, recipe = Settings(fonts=tmp_path, workers=1), parse_recipe(DEFAULT_RECIPE)
    with (
        pytest.raises(InvalidSettings, match=MESSAGE),
        open_workers(settings, recipe, {}, "test:", Progress()),
    ):
        pass


def test_a_function_reads_the_fonts(fonts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anything")
    open_aws_context(cloud(fonts))
    assert str(fonts) in Path(os.environ["FONTCONFIG_FILE"]).read_text()


def test_a_function_with_an_empty_directory_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=MESSAGE):
        open_aws_context(cloud(tmp_path))
