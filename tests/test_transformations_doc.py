"""docs/transformations.md says of every row of the vocabulary just what the code says."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import draw_gallery
import draw_transformations
import numpy as np
import pytest
import transformation_examples
from draw_transformations import NEEDED, NO_DEFAULT, PARTS, RECIPE, document, examples
from msgspec import NODEFAULT
from PIL import Image

from image_processor.config import presets
from image_processor.config.recipe import parse_recipe
from image_processor.domain.transformation import PARAMETERS, Example, Fit, Parameter, parse
from image_processor.domain.transformation.overlay import IMAGE_PARAMETERS, TEXT_PARAMETERS
from image_processor.domain.transformation.parameter_types import FLAG
from image_processor.engine.operations import compose

DOCS = Path(__file__).parent.parent / "docs"
STARTS = [[row.name for row in PARAMETERS].index(first) for first, _, _ in PARTS]
TABLES = (
    *(
        (f"## {title}", PARAMETERS[start:end])
        for (_, title, _), start, end in zip(PARTS, STARTS, [*STARTS[1:], None], strict=True)
    ),
    ("### Image overlays", IMAGE_PARAMETERS),
    ("### Text overlays", TEXT_PARAMETERS),
)
CASES = [(heading, row) for heading, rows in TABLES for row in rows]


def committed() -> str:
    return (DOCS / "transformations.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """What stands under ``heading`` before the next one."""
    return re.split(r"^#+ .*$", committed().partition(f"{heading}\n")[2], flags=re.MULTILINE)[0]


def table(heading: str) -> list[list[str]]:
    """The cells of the rows of the table under ``heading``, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")][2:]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]


def test_the_committed_document_is_what_the_script_writes() -> None:
    assert committed() == document(), "run `make docs` and commit"


@pytest.mark.parametrize(("heading", "rows"), TABLES)
def test_a_table_has_the_rows_of_the_code_in_their_order(heading: str, rows: Sequence[Parameter]) -> None:
    assert [cells[0].partition("<br>")[0] for cells in table(heading)] == [f"`{row.name}`" for row in rows]


def test_every_parameter_is_in_a_part() -> None:
    assert STARTS[0] == 0
    assert sorted(STARTS) == STARTS


def test_the_parts_are_those_of_the_studio() -> None:
    source = (DOCS.parent / "studio" / "src" / "components" / "Playground.tsx").read_text(encoding="utf-8")
    assert re.findall(r'^  \["([a-z-]+)", "(.+)"\],$', source, re.MULTILINE) == [part[:2] for part in PARTS]


@pytest.mark.parametrize(
    ("heading", "row"), CASES, ids=lambda value: value if isinstance(value, str) else value.name
)
def test_a_row_has_the_field_range_and_default_of_the_code(heading: str, row: Parameter) -> None:
    (cells,) = (cells for cells in table(heading) if cells[0].partition("<br>")[0] == f"`{row.name}`")
    named, means, default, _ = cells
    means, _, range_ = means.rpartition("<br>")
    names = re.findall(r"`([a-z_]+)`", named.rpartition("<br>")[2])
    assert {row.field, f"{row.field}s"} & set(names)
    if row in PARAMETERS:
        assert set(names) <= set(presets._FIELDS)
    assert range_ == f"*{row.expected}*"
    assert default == default_of(row)
    assert means


def default_of(row: Parameter) -> str:
    if row.default is NODEFAULT:
        return NEEDED
    if row.default is None or row.default == ():
        return NO_DEFAULT
    return f"`{row.type.show(row.default)}`"


@pytest.mark.parametrize("layer", ["", "image", "text"])
def test_every_parameter_needs_a_meaning_and_an_example(monkeypatch: pytest.MonkeyPatch, layer: str) -> None:
    new = Parameter("new", FLAG, field="new", default=False)
    rows = (*draw_transformations._TABLES[layer], new)
    monkeypatch.setitem(draw_transformations._TABLES, layer, rows)
    with pytest.raises(ValueError, match="a meaning and an example for new"):
        document()


def test_every_fit_is_explained() -> None:
    assert set(transformation_examples.FITS) == set(Fit)


@pytest.mark.parametrize(("name", "example"), list(examples()), ids=[name for name, _ in examples()])
def test_an_example_is_canonical_and_shows_its_parameter(name: str, example: Example) -> None:
    assert str(parse(example.text)) == example.text
    if example.written:
        assert parse(example.written) == parse(example.text)
    layer, _, parameter = name.partition("-")
    text = example.written or example.text
    if layer in {"image", "text"} and parameter:
        assert re.search(rf"(=|;){parameter}:", text)
    elif name in {row.name for row in PARAMETERS}:
        assert re.search(rf"(^|,){name}=", text)


def test_every_picture_is_there_and_small_and_there_is_no_other() -> None:
    pictures = {path.stem: path.read_bytes() for path in (DOCS / "transformations").iterdir()}
    assert set(pictures) == {name for name, _ in examples()}
    for name, body in pictures.items():
        assert body[8:12] == b"WEBP", name
        assert len(body) < 10_000, name


_CLOSE_DECIBELS = 45
"""Processors of another kind round some operations otherwise; a change of the engine shows much more."""


def test_the_pictures_are_those_of_the_engine() -> None:
    for name, body in draw_transformations.pictures():
        if name.startswith("text-") or "text:" in dict(examples())[name.removesuffix(".webp")].text:
            continue  # fonts are those of the machine
        drawn, kept = (
            np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), dtype=np.float64)
            for data in (body, (DOCS / "transformations" / name).read_bytes())
        )
        assert drawn.shape == kept.shape, name
        error = float(((drawn - kept) ** 2).mean())
        assert error == 0 or 10 * math.log10(255**2 / error) > _CLOSE_DECIBELS, f"{name}: run `make docs`"


def test_the_order_is_the_order_of_the_engine() -> None:
    order = section("## Order of operations")
    names = {row.field: row.name for row in PARAMETERS}
    pixels = re.findall(r"`([a-z-]+)`", order.partition("pixels:")[2].partition("\n")[0])
    assert pixels == [names[field] for field, _ in compose.PIXEL_OPERATIONS]
    stages = re.findall(r"^\d+\. (\w+)", order, flags=re.MULTILINE)
    assert stages[4:-2] == ["bars", "overlays", "corners", "opacity", "padding", "steps"]
    assert [operation.__name__.strip("_") for operation in compose._LAYOUT_OPERATIONS] == [
        "add_bars",
        "add_overlays",
        "cut_outline",
        "apply_opacity",
        "add_padding",
        "apply_steps",
        "flatten",
    ]
    assert {row.name for row in PARAMETERS} - set(re.findall(r"`([a-z-]+)`", order)) <= _ENCODING


_ENCODING = {row.name for row in PARAMETERS[[row.name for row in PARAMETERS].index("q") :]}


def test_the_recipe_of_the_document_is_one() -> None:
    assert f"```toml\n{RECIPE}```" in committed()
    assert len(parse_recipe(RECIPE).transformations_for("a.jpg")) == 4


def test_the_gallery_goes_on_where_a_photograph_refuses_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Noise has too many bytes for the example of `max-bytes`."""
    noise = Image.effect_noise((300, 200), 120).convert("RGB")
    body = io.BytesIO()
    noise.save(body, "PNG")
    names = {one.name for one in draw_gallery.shown(body.getvalue())}
    assert {name for name, _ in draw_transformations.examples()} - names == {"max-bytes"}
    assert "left out w=160,max-bytes=1000,fm=webp: expected at most 1000 bytes" in capsys.readouterr().out
