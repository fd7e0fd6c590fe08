"""The documentation: pictures are as drawn, links lead to files, settings and pages are named."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import write_event_schema
import write_reference
from PIL import Image

from image_processor.api.access import ACCESS
from image_processor.config.settings import ALL_SETTINGS, dialect_settings

ROOT = Path(__file__).parent.parent
_AT_THE_ROOT = ("README.md", "CHANGELOG.md", "SECURITY.md")
PAPERS = [*(ROOT / name for name in _AT_THE_ROOT), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture
def picture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("draw_architecture")


def test_the_committed_picture_is_what_the_script_draws(picture: ModuleType) -> None:
    drawn = {picture.OUTPUT: picture.draw(), picture.DARK_OUTPUT: picture.darkened_text(picture.draw())}
    assert {file: file.read_text(encoding="utf-8") for file in drawn} == drawn, "run `make docs` and commit"


def test_the_committed_schema_of_events_is_what_the_types_say() -> None:
    assert write_event_schema.OUTPUT.read_text(encoding="utf-8") == write_event_schema.text(), (
        "run `make docs`"
    )


@pytest.mark.parametrize("page", write_reference.PAGES)
def test_a_page_of_reference_is_what_the_tables_say(page: str) -> None:
    committed = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert committed == write_reference.PAGES[page](), "run `make docs` and commit"


def test_the_picture_is_one_well_formed_document_without_anything_from_outside(picture: ModuleType) -> None:
    root = ET.fromstring(picture.draw())
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags == {"svg", "title", "desc", "defs", "marker", "path", "rect", "line", "polyline", "text"}


def test_no_two_boxes_overlap_and_all_are_inside(picture: ModuleType) -> None:
    for one, other in itertools.combinations(picture.BOXES.values(), 2):
        apart = one.right < other.x or other.right < one.x or one.bottom < other.y or other.bottom < one.y
        assert apart, (one, other)
    for box in picture.BOXES.values():
        assert 0 < box.x < box.right < picture.WIDTH
        assert 0 < box.y < box.bottom < picture.HEIGHT


def test_every_arrow_joins_the_borders_of_its_boxes_and_crosses_no_box(picture: ModuleType) -> None:
    for arrow in picture.ARROWS:
        corners = picture.route(arrow)
        assert on_border(picture.BOXES[arrow.start], corners[0]), arrow
        assert on_border(picture.BOXES[arrow.end], corners[-1]), arrow
        for (x, y), (to_x, to_y) in itertools.pairwise(corners):
            assert (x == to_x) != (y == to_y), arrow
            for box in picture.BOXES.values():
                crossed = (
                    max(x, to_x) > box.x
                    and min(x, to_x) < box.right
                    and max(y, to_y) > box.y
                    and min(y, to_y) < box.bottom
                )
                assert not crossed, (arrow, box)


def on_border(box: Any, corner: tuple[int, int]) -> bool:
    x, y = corner
    beside = x in {box.x, box.right} and box.y < y < box.bottom
    return beside or (y in {box.y, box.bottom} and box.x < x < box.right)


def test_a_text_that_leaves_its_box_is_an_error(picture: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(picture.BOXES, "plan", picture.Box(0, 0, 40, 40, "far too long"))
    with pytest.raises(ValueError, match="expected at most 40 pixels for 'far too long'"):
        picture.draw()


def test_each_picture_of_the_studio_is_small_shown_and_there_for_both_schemes() -> None:
    pictures = sorted((ROOT / "docs" / "studio").iterdir())
    papers = {paper: paper.read_text(encoding="utf-8") for paper in PAPERS}
    shown = {
        (paper.parent / name).resolve()
        for paper, text in papers.items()
        for name in re.findall(r'(?:src|srcset)="([^"]+[.]webp)"', text)
    }
    assert set(pictures) <= shown
    assert all(path.exists() for path in shown)
    names = {tuple(path.stem.rsplit("-", 1)) for path in pictures}
    assert names == {(name, scheme) for name, _ in names for scheme in ("light", "dark")}
    for path in pictures:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("WEBP", (1280, 800)), path
        assert path.stat().st_size < 150_000, "run `make screenshots` and commit"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_in_the_papers_leads_nowhere(paper: Path) -> None:
    links = [link for link in LINK.findall(paper.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (paper.parent / link).exists()] == []


def test_every_setting_is_documented() -> None:
    text = "".join(paper.read_text(encoding="utf-8") for paper in PAPERS)
    names = [spec.name for spec in (*ALL_SETTINGS, *dialect_settings())]
    assert [name for name in names if not re.search(rf"_{name}\b", text)] == []


def test_every_route_is_on_the_page_of_the_api() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    of_the_page = {"/", "/docs", "/static", "/{key}"}
    routes = [
        f"{method} {path}" for method, path, _ in ACCESS if path not in of_the_page and method != "OPTIONS"
    ]
    assert [route for route in routes if not re.search(rf"{re.escape(route)}[`? ]", page)] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    pages = [str(path.relative_to(docs)) for path in (*docs.glob("*.md"), *docs.glob("learn/*.md"))]
    pages.remove("README.md")
    assert [name for name in pages if f"({name})" not in index] == []


DECISIONS = {
    path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "adr").glob("*.md"))
}
UNDERSTAND = (ROOT / "docs" / "understand.md").read_text(encoding="utf-8")


def test_every_decision_is_listed() -> None:
    listed = re.findall(r"^\| (\d+) \| \[(.+)\]\(adr/(.+)\) \|", UNDERSTAND, re.MULTILINE)
    assert [(name, f"# {number}. {title}") for number, title, name in listed] == [
        (name, text.partition("\n")[0]) for name, text in DECISIONS.items()
    ]
    assert len(DECISIONS) <= 15, "merge decisions on one subject: `Replaces N.` below the title"


def test_every_number_is_a_decision_or_replaced_by_one() -> None:
    replaced = [
        number
        for text in DECISIONS.values()
        for line in re.findall(r"^Replaces (.+)\.$", text, re.MULTILINE)
        for number in map(int, re.findall(r"\d+", line))
    ]
    numbers = sorted([int(name[:4]) for name in DECISIONS] + replaced)
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_figures_of_the_overview_are_those_of_the_pages() -> None:
    reliability, performance = (
        (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
        for name in ("reliability.md", "performance.md")
    )
    promises = re.findall(r"^\| (\d+) \| ([^\[|]+) \| (.+) \|$", UNDERSTAND, re.MULTILINE)
    assert len(promises) >= 10
    for number, promise, figure in promises:
        (row,) = (line for line in reliability if line.startswith(f"| {number} | {promise} |"))
        assert figure in row
    figures = UNDERSTAND.partition("| What | Ours |")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(figures) >= 5
    assert [row for row in figures if not any(line.startswith(row) for line in performance)] == []
