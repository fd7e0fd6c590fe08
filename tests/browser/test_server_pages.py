"""The pages about the recipe and the server, and the reference of the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from serving import Site, serving
from test_accessibility import axe
from test_library import png
from windows import Open

from support.chromium import violations_in_both_schemes
from support.waiting import wait_for

__all__ = ["axe"]

RECIPE = """# Cards
[presets.card]
widths = [20, 40]
formats = ["webp"]

[[rules]]
match = "**"
presets = ["card"]
"""
NO_BREAK = "\u00a0"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.toml"
    file.write_text(RECIPE)
    return file


@pytest.fixture
def site(tmp_path: Path, recipe: Path) -> Iterator[Site]:
    with serving(tmp_path / "data", RECIPE=str(recipe), RECIPE_WRITABLE="1") as site:
        yield site


def widths(site: Site, id_: str) -> list[int]:
    return [item["width"] for item in site.api.get(f"/images/{id_}").json()["renditions"]]


def test_a_recipe_is_edited_checked_planned_and_saved(open_page: Open, site: Site, recipe: Path) -> None:
    ids = [site.put(f"{number}.png", png(60, 40, (number, 0, 0, 255))) for number in range(3)]
    page = open_page("/#/recipe")
    expect(page).to_have_title("Recipe · Image processor")
    editor, save = page.locator("#recipe-text"), page.get_by_role("button", name="Save and use")
    expect(editor).to_have_value(RECIPE)
    expect(page.locator(".checked")).to_contain_text("The recipe is valid.")
    expect(save).to_be_disabled()

    editor.fill(RECIPE.replace("[20, 40]", "[0, 40]").replace('["webp"]', '["bmp"]'))
    expect(page.locator(".checked h3")).to_have_text(f"2{NO_BREAK}problems")
    expect(page.locator(".line.wrong")).to_have_count(2)
    expect(page.locator(".line.wrong").first).to_contain_text("widths = [0, 40] expected")
    expect(save).to_be_disabled()
    page.get_by_role("button", name="Line 4").click()
    assert editor.evaluate("(field) => field.value.slice(field.selectionStart, field.selectionEnd)") == (
        'formats = ["bmp"]'
    )

    editor.fill(RECIPE.replace("[20, 40]", "[20, 30, 50]"))
    expect(page.locator("#changes")).to_contain_text(f"3{NO_BREAK}images would be rendered again")
    expect(page.locator("#changes")).to_contain_text(f"9{NO_BREAK}renditions, about")
    assert widths(site, ids[0]) == [20, 40]
    page.keyboard.press("Control+s")
    expect(page.locator("#toast")).to_contain_text("The recipe is saved and in force.")
    assert "[20, 30, 50]" in recipe.read_text()
    expect(save).to_be_disabled()
    for id_ in ids:
        wait_for(lambda id_=id_: widths(site, id_) == [20, 30, 50], "the image made anew")


def test_a_recipe_that_somebody_else_has_changed_is_not_overwritten(open_page: Open, recipe: Path) -> None:
    page = open_page("/#/recipe")
    page.locator("#recipe-text").fill(RECIPE.replace("20", "25"))
    recipe.write_text(RECIPE.replace("20", "35"))
    page.get_by_role("button", name="Save and use").click()
    expect(page.locator("#toast")).to_contain_text("has changed since it was read")
    assert "35" in recipe.read_text()
    expect(page.locator("#recipe-text")).to_have_value(RECIPE.replace("20", "25"))
    page.get_by_role("button", name="Discard changes").click()
    expect(page.locator("#recipe-text")).to_have_value(RECIPE.replace("20", "35"))


def test_the_server_page_shows_what_happened_and_the_settings(open_page: Open, site: Site) -> None:
    site.put("a.png", png(60, 40, (9, 0, 0, 255)))
    site.put("words.png", b"words")
    for _ in range(3):
        site.api.get("/renditions/a.png/w=20,fm=webp.webp").raise_for_status()
    page = open_page("/#/server")
    tiles = page.locator(".tile")
    expect(tiles.filter(has_text="Images processed").locator(".figure")).to_have_text("1")
    expect(page.get_by_role("img", name=f"Images processed, 1{NO_BREAK}image")).to_be_visible()
    expect(tiles.filter(has_text="Renditions served").locator(".figure")).to_have_text("3")
    expect(page.locator("#refusals")).to_contain_text("This is not an image.")
    expect(page.locator("#storage")).to_contain_text("WebP")
    settings = page.locator("#settings")
    expect(settings.locator("dt", has_text="IMAGE_PROCESSOR_RECIPE_WRITABLE")).to_be_visible()
    expect(settings.locator("dt", has_text="IMAGE_PROCESSOR_ICC")).to_have_count(0)
    settings.get_by_role("button", name="Show all").click()
    expect(settings.locator("dt", has_text="IMAGE_PROCESSOR_ICC")).to_be_visible()
    page.get_by_text("Last day").click()
    expect(tiles.filter(has_text="Images processed").locator(".plot g")).to_have_count(96)
    page.get_by_role("link", name="Library").click()
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("link", name="Recipe").click()
    expect(page.locator("#recipe-text")).to_be_visible()
    page.go_back()
    expect(page.locator(".card")).to_have_count(2)


def test_the_reference_shows_every_operation(open_page: Open, site: Site) -> None:
    described = site.api.get("/openapi.json").json()
    count = sum(len(methods) for methods in described["paths"].values())
    page = open_page("/docs")
    expect(page.locator(".operation")).to_have_count(count)
    markup = page.locator("#get_markup")
    expect(markup.locator(".command").first).to_contain_text(f"curl '{site.url}/images/")
    markup.locator("details.response summary").click()
    expect(markup).to_contain_text("left_out")
    page.get_by_placeholder("Find").fill("similar")
    expect(page.locator("#list_similar_images")).to_be_visible()
    expect(page.locator("#get_recipe")).to_have_count(0)


def test_the_command_of_the_reference_works(open_page: Open, site: Site) -> None:
    command = open_page("/docs").locator("#check_recipe_text .command").first.inner_text()
    found = re.search(r"-d '(.*)'$", command, re.DOTALL)
    assert found is not None
    answer = site.api.post(
        "/recipe/check", content=found[1].encode(), headers={"content-type": "application/json"}
    )
    assert answer.json()["problems"] == []


@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_violation(open_page: Open, site: Site, axe: str, width: int) -> None:
    site.put("words.png", b"words")

    def check(page: Page) -> None:
        page.evaluate(axe)
        assert violations_in_both_schemes(page) == []
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
        page.context.close()

    page = open_page("/#/server", width=width)
    expect(page.locator("#refusals")).to_contain_text("This is not an image.")
    expect(page.locator("#settings dt").first).to_be_visible()
    check(page)

    page = open_page("/#/recipe", width=width)
    page.locator("#recipe-text").fill(RECIPE.replace("20", "0") + "# a comment\n")
    expect(page.locator(".line.wrong")).to_have_count(1)
    check(page)

    page = open_page("/docs", width=width)
    page.locator("#get_markup details.response summary").click()
    check(page)
