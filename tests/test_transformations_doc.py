"""docs/transformations.md says what the code says, and shows what it makes."""

from __future__ import annotations

from types import ModuleType

import draw_gallery
import draw_transformations as drawing
import pytest
from PIL import Image
from transformation_words import IMAGE_WORDS, PLACE_WORDS, TEXT_WORDS, WORDS

from image_processor.transformation import PARAMETERS, parse
from image_processor.transformation.overlay_rows import IMAGE_ROWS, TEXT_ROWS

PAGE = drawing.OUTPUT.read_text(encoding="utf-8")


@pytest.fixture
def script() -> ModuleType:
    return drawing


def test_the_committed_page_is_what_the_script_writes(script: ModuleType) -> None:
    assert script.document() == PAGE, "run `make docs` and commit"


def test_words_are_of_parameters_that_exist() -> None:
    assert list(WORDS) == [row.name for row in PARAMETERS]
    assert {row.name for row in IMAGE_ROWS} == {*IMAGE_WORDS, *PLACE_WORDS}
    assert {row.name for row in TEXT_ROWS} == {*TEXT_WORDS, *PLACE_WORDS}


@pytest.mark.parametrize("row", [*PARAMETERS, *IMAGE_ROWS, *TEXT_ROWS], ids=lambda row: row.field)
def test_each_parameter_has_a_row_with_the_codes_range(row) -> None:
    start = f"| `{row.name}` | `{row.field}` | "
    expected = row.expected.replace("|", "\\|")
    assert any(line.startswith(start) and f" | {expected} | " in line for line in PAGE.splitlines())


@pytest.mark.parametrize("name", [name for name, words in WORDS.items() if words.example])
def test_an_example_uses_its_parameter_and_has_a_picture(name: str) -> None:
    example = WORDS[name].example
    assert f",{name}=" in f",{example}"
    assert drawing.example_of(name) == parse(str(drawing.example_of(name)))
    with Image.open(drawing.PICTURES / f"{name}.png") as picture:
        assert max(picture.size) <= 160


def test_no_picture_is_left_of_a_parameter_that_went() -> None:
    shown = {path.stem for path in drawing.PICTURES.iterdir()}
    assert shown == {name for name, words in WORDS.items() if words.example}


def test_the_gallery_shows_every_example(tmp_path) -> None:
    picture = tmp_path / "photo.png"
    Image.linear_gradient("L").convert("RGB").save(picture)
    page = draw_gallery.gallery(picture.read_bytes(), tmp_path / "gallery")
    text = page.read_text(encoding="utf-8")
    for name, words in WORDS.items():
        assert (f"<b>{name}</b>" in text) == (words.example is not None)
        assert len(list(page.parent.glob(f"{name}.*"))) == (words.example is not None)
