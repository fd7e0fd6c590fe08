"""The web page and the types of the API are what `make studio` makes of their sources, and small."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from image_processor.api.standalone_app import WEB
from image_processor.domain.formats import FORMATS
from image_processor.engine.codecs.registry import CODECS

STUDIO = Path(__file__).parents[2] / "studio"
MAX_BYTES = 250_000
"""What the page's own files may have, compressed."""
MAX_FIRST_BYTES = 60_000
"""What those of the first page may have."""


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """studio/generate.py with its tools. CI installs them; elsewhere the tests are skipped without them."""
    spec = importlib.util.spec_from_file_location("studio_generate", STUDIO / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.TOOLS.is_dir():
        message = "the studio's tools are not installed: run `npm ci` in studio"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return module


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_types_are_those_of_the_api(generate: ModuleType, tmp_path: Path) -> None:
    generate.types(tmp_path / "schema.d.ts")
    assert (tmp_path / "schema.d.ts").read_text("utf-8") == generate.SCHEMA.read_text("utf-8"), (
        "run `make studio`"
    )


def test_the_page_is_built_from_its_sources(generate: ModuleType, tmp_path: Path) -> None:
    generate.page(tmp_path)
    assert files_of(tmp_path) == files_of(WEB), "run `make studio`"


def test_the_sources_have_the_types_that_they_need(generate: ModuleType) -> None:
    generate.check()


def test_the_score_has_the_weights_of_the_engine() -> None:
    text = (STUDIO / "src" / "score.ts").read_text("utf-8")
    row = r"(\w+): \{ base: ([\d.]+), weights: \[([^\]]+)\] \}"
    fits = {
        name: (float(base), *map(float, weights.split(","))) for name, base, weights in re.findall(row, text)
    }
    # The page knows a format by its media type.
    assert fits == {
        FORMATS[name].media_type.removeprefix("image/"): (codec.quality_fit.base, *codec.quality_fit.weights)
        for name, codec in CODECS.items()
        if codec.quality_fit is not None
    }


def test_the_first_page_loads_neither_playground_nor_reference() -> None:
    text = (WEB / "index.html").read_text("utf-8")
    loaded = re.findall(r'(?:src|href)="\./(static/[^"]+)"', text)
    names = {Path(name).name for name in loaded}
    assert not names & {
        "Playground.js",
        "Playground.css",
        "RecipePage.js",
        "ServerPage.js",
        "docs.js",
        "docs.css",
    }
    assert sum(len(gzip.compress((WEB / name).read_bytes())) for name in loaded) < MAX_FIRST_BYTES


def test_the_licences_of_the_libraries_go_with_the_page() -> None:
    text = (WEB / "static" / "licences.txt").read_text("utf-8")
    dependencies = json.loads((STUDIO / "package.json").read_text("utf-8"))["dependencies"]
    assert [
        f"{name} {version}" for name, version in dependencies.items() if f"{name} {version}\n" not in text
    ] == []
    assert text.count("Permission is hereby granted") >= len(dependencies) - 1


def test_the_page_is_small() -> None:
    assert sum(len(gzip.compress(body)) for body in files_of(WEB).values()) < MAX_BYTES
