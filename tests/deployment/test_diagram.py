"""architecture-diagram shows the template as it is: it cannot be drawn from one that it does not fit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import canvas
import draw_aws_diagram as diagram
import pytest
from dark_scheme import darkened
from linters import Json
from PIL import Image
from template_graph import Edge, Graph, load


def test_the_committed_diagrams_are_current() -> None:
    drawing = diagram.draw(load())
    assert diagram.SVG.read_text(encoding="utf-8") == drawing.svg(), "run `make docs` and commit"
    for file, drawn in ((diagram.PNG, drawing), (diagram.DARK_PNG, darkened(drawing))):
        with Image.open(file) as image:
            assert image.text[canvas.DIGEST] == drawn.digest, "run `make docs` and commit"
            assert image.size == (drawing.width * canvas.SCALE, drawing.height * canvas.SCALE)


def test_words_can_be_read_in_both_schemes() -> None:
    """The contrast of WCAG 2.2 AA (1.4.3): 4.5 to 1, on each ground that is drawn below them."""
    for drawing in (diagram.draw(load()), darkened(diagram.draw(load()))):
        blocks = [shape for shape in drawing.shapes if isinstance(shape, canvas.Block)]
        for words in (shape for shape in drawing.shapes if isinstance(shape, canvas.Words)):
            below = [block for block in blocks if is_on(words, block)]
            ground = min(below, key=lambda block: block.width * block.height).fill
            assert contrast(words.colour, ground) >= 4.5, (words, ground)


def is_on(words: canvas.Words, block: canvas.Block) -> bool:
    return block.x <= words.x <= block.x + block.width and block.y <= words.y <= block.y + block.height


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_png_matches_the_svg(tmp_path: Path) -> None:
    square = canvas.Block(10, 10, 20, 20, "#ff0000", "#ff0000", radius=0)
    line = canvas.Line(((0, 40), (39, 40)), "#0000ff", head=False)
    canvas.Drawing(40, 50, "a square", (square, line)).png(tmp_path / "square.png")
    with Image.open(tmp_path / "square.png") as image:
        pixels = image.convert("RGB")
    colours = [pixels.getpixel((canvas.SCALE * x, canvas.SCALE * y)) for x, y in ((5, 5), (20, 20), (20, 40))]
    assert colours == [(255, 255, 255), (255, 0, 0), (0, 0, 255)]


def edges(template: Json) -> set[Edge]:
    return set(Graph(template, diagram.FOLDED).edges())


def test_the_flow_is_read_from_the_template() -> None:
    assert edges(load()) >= {
        Edge("UploadBucket", "IngestQueue", "events"),
        Edge("UploadRule", "IngestQueue", "events"),
        Edge("IngestQueue", "ProcessFunction", "events"),
        Edge("IngestQueue", "DeadLetterQueue", "dead letters"),
        Edge("ProcessFunction", "UploadBucket", "reads"),
        Edge("ProcessFunction", "ProcessedBucket", "writes"),
        Edge("Api", "ApiFunction", "requests"),
        Edge("Distribution", "ProcessedBucket", "first"),
        Edge("Distribution", "DeliverFunction", "failover"),
    }


def another_resource(template: Json) -> None:
    template["Resources"]["Cache"] = {"Type": "AWS::DynamoDB::Table"}


def no_alarms(template: Json) -> None:
    del template["Resources"]["ErrorAlarm"]


def another_reference(template: Json) -> None:
    template["Resources"]["CatalogTable"]["Properties"]["Tags"] = [
        {"Key": "q", "Value": {"Ref": "IngestQueue"}}
    ]


def a_long_text(template: Json) -> None:
    template["Globals"]["Function"]["Runtime"] = "a runtime with a name that is far too long"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (another_resource, r"expected a place for each resource .*'Cache'"),
        (no_alarms, r"expected a place for each resource .*'ErrorAlarm'"),
        (another_reference, r"expected an edge for each reference .*'CatalogTable', 'IngestQueue'"),
        (a_long_text, r"expected at most 190 for 'a runtime with"),
    ],
)
def test_a_template_that_does_not_fit_is_an_error(change: Callable[[Json], None], told: str) -> None:
    template = load()
    change(template)
    with pytest.raises(ValueError, match=told):
        diagram.draw(template)


def test_a_change_of_the_template_changes_the_picture() -> None:
    template = load()
    statements = template["Resources"]["ProcessRole"]["Properties"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    statements[1]["Action"] = "s3:PutObject"
    assert diagram.draw(template).digest != diagram.draw(load()).digest


def straight(points: tuple[canvas.Point, ...]) -> bool:
    return all((x == to_x) != (y == to_y) for (x, y), (to_x, to_y) in itertools.pairwise(points))


def test_lines_are_horizontal_or_vertical_and_do_not_overlap() -> None:
    drawn = [edge for edge in edges(load()) if edge.kind not in {"watches", "mail"}]
    ends = [diagram.way(edge)[-1] for edge in drawn]
    assert all(straight(diagram.way(edge)) for edge in drawn)
    assert len(set(ends)) == len(ends)
