"""The playground: parameters, previews, comparisons, undo, and what can be copied."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import Site, serving
from test_accessibility import axe
from test_library import png
from windows import Open, opening

from image_processor.config.recipe import parse_recipe
from support.chromium import violations_in_both_schemes

__all__ = ["axe"]

COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"  # 600 pixels wide
ORIGIN = re.compile(r"http://127\.0\.0\.1:[0-9]+")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"SIGNING_KEYS": "a:a-secret-for-the-browser", "OVERLAYS": "logos/", "DIALECTS": "thumbor"}
    with serving(tmp_path_factory.mktemp("server") / "data", **settings) as server:
        yield server


def copied(page: Page, title: str) -> str:
    page.locator("#snippets").get_by_role("button", name=title, exact=True).click()
    return page.locator(".snippet code").inner_text()


def expect_result(page: Page, text: str, width: int) -> None:
    """Wait for the preview of ``text``, the canonical one, which is ``width`` pixels wide."""
    page.locator("#snippets").get_by_role("button", name="Transformation", exact=True).click()
    expect(page.locator(".snippet code")).to_have_text(text)
    page.wait_for_function(
        "(width) => document.querySelector('.comparison .after')?.naturalWidth === width", arg=width
    )


def open_playground(open_page: Open, site: Site, **window: object) -> Page:
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    page = open_page(f"/#{id_}", **window)
    page.get_by_role("button", name="Try transformations").click()
    expect_result(page, "w=640,fm=webp", 600)
    return page


def test_a_transformation_is_tried_undone_and_shared(open_page: Open, site: Site) -> None:
    page = open_playground(open_page, site)
    page.locator("#parameter-w").fill("200")
    expect_result(page, "w=200,fm=webp", 200)
    expect(page.locator("#playground .verdict").last).to_contain_text("WebP")
    page.locator("#parameter-fm").select_option("png")
    expect_result(page, "w=200,fm=png", 200)
    page.get_by_role("button", name="Undo").click()
    expect_result(page, "w=200,fm=webp", 200)
    page.locator("#parameter-h").fill("99999")
    expect(page.locator("#playground .problem")).to_contain_text("from 1 to 16383 for h, got 99999")
    page.get_by_role("button", name="Reset h").click()
    expect_result(page, "w=200,fm=webp", 200)
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Control+z")
    expect(page.locator("#playground .problem")).to_be_visible()
    page.keyboard.press("Control+Shift+z")
    expect_result(page, "w=200,fm=webp", 200)

    again = open_page(copied(page, "Link to this page").removeprefix(site.url))
    expect_result(again, "w=200,fm=webp", 200)
    again.keyboard.press("Escape")
    expect(again.locator("#playground")).to_have_count(0)
    expect(again.locator("#details")).to_be_visible()


def test_places_points_overlays_and_starts(open_page: Open, site: Site) -> None:
    site.put("logos/mark.png", png(40, 40, (200, 0, 0, 255)))
    page = open_playground(open_page, site)
    page.get_by_role("button", name="Square card").click()
    expect_result(page, "w=480,h=480,g=attention,fm=avif", 480)
    page.get_by_label("northwest", exact=True).check(force=True)
    expect_result(page, "w=480,h=480,g=northwest,fm=avif", 480)

    page.locator(".focal").click(position={"x": 1, "y": 1})
    page.get_by_label("centre", exact=True).check(force=True)
    point = page.locator(".focal")
    point.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(point).to_have_accessible_name(re.compile(r"Focal point: 0\.1[0-9]*:0\.0"))

    page.get_by_role("button", name="For a page").click()
    expect_result(page, "w=640,fm=webp", 600)
    page.locator("summary", has_text="Overlays, shape").click()
    page.get_by_role("button", name="Draw logos/mark.png").click()
    expect_result(page, "w=640,over=image:logos~2fmark.png;w:0.25;g:southeast;x:20;y:20,fm=webp", 600)
    page.get_by_role("button", name="Add a text").click()
    page.get_by_label("The text").fill("A lake, at dusk")
    overlay = page.locator(".overlay").last
    overlay.get_by_label("north", exact=True).check(force=True)
    expect(page.locator(".snippet code")).to_contain_text("over=text:A~20lake~2c~20at~20dusk;")
    expect(page.locator(".snippet code")).to_contain_text("g:north")
    page.get_by_role("button", name="Remove mark.png").click()
    expect(page.locator(".overlay")).to_have_count(1)

    page.get_by_role("button", name="thumbnail").click()
    expect_result(page, "w=200,h=200,g=attention,fm=avif", 200)


def test_two_formats_are_compared_by_bytes_score_and_time(open_page: Open, site: Site) -> None:
    page = open_playground(open_page, site)
    page.locator("#parameter-w").fill("500")
    page.locator("#parameter-q").fill("30")
    expect_result(page, "w=500,q=30,fm=webp", 500)
    page.locator("#against").select_option("jpeg")
    page.get_by_text("Side by side").click()
    verdicts = page.locator("#playground .verdict")
    expect(verdicts).to_have_count(2)
    expect(verdicts.first).to_contain_text(re.compile(r"JPEG · \d+ kB.*score about \d+ · \d+ ms"))
    expect(verdicts.last).to_contain_text(re.compile(r"WebP · .*score about \d+"))
    expect(page.locator(".comparison img")).to_have_count(2)
    jpeg, webp = (int(re.findall(r"score about (\d+)", item.inner_text())[0]) for item in verdicts.all())
    # JPEG has its default quality, which is made for 76; WebP at 30 loses much more.
    assert 68 <= jpeg <= 84
    assert webp < jpeg - 5
    expect(page.get_by_text("the engine's estimate of SSIMULACRA2")).to_be_visible()
    expect(page.locator(".verdict.best")).to_contain_text("WebP")
    page.locator("#parameter-lossless").check()
    expect(verdicts.last).to_contain_text(re.compile("score about (9[5-9]|100)"))


def test_what_is_copied_works(open_page: Open, site: Site) -> None:
    page = open_playground(open_page, site)
    page.locator("#parameter-w").fill("150")
    expect_result(page, "w=150,fm=webp", 150)

    def width_of(url: str) -> int:
        response = site.api.get(url).raise_for_status()
        return Image.open(io.BytesIO(response.content)).width

    signed = copied(page, "Signed URL")
    assert signed.startswith(f"{site.url}/renditions/coffee.png?w=150&fm=webp&kid=a&s=")
    assert width_of(signed) == 150
    assert site.api.get(copied(page, "Canonical URL")).status_code == 403
    assert copied(page, "thumbor").endswith("/unsafe/150x0/filters:no_upscale():format(webp)/coffee.png")
    assert copied(page, "imgproxy").endswith("/unsafe/w:150/plain/coffee.png@webp")
    assert "/eyJ" in copied(page, "DIT")
    srcset = re.findall(r'srcset="([^"]*)"', copied(page, "<img srcset>"))[0].replace("&amp;", "&")
    assert [width_of(item.split(" ")[0]) for item in srcset.split(", ")] == [75, 150, 300]
    assert '<source type="image/avif"' in copied(page, "<picture>")
    assert "imageLoader" in copied(page, "Next.js loader")
    assert "image-set(" in copied(page, "CSS image-set")
    assert copied(page, "Command line") == (
        "image-processor transform 'coffee.png' 'w=150,fm=webp' --out rendition.webp"
    )
    assert 'image_processor.transform("coffee.png", "w=150,fm=webp")' in copied(page, "Python")
    recipe = copied(page, "Recipe")
    assert tomllib.loads(recipe)
    assert [str(item) for item in parse_recipe(recipe).transformations_for("a.jpg")] == ["w=150,fm=webp"]
    assert "a-secret-for-the-browser" not in page.content()


def test_without_a_key_only_what_works_is_offered(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "keyless") as site, opening(browser, site) as open_page:
        page = open_playground(open_page, site)
        offered = page.locator("#snippets").get_by_role("group").get_by_role("button")
        expect(page.locator("#snippets")).to_contain_text("IMAGE_PROCESSOR_SIGNING_KEYS=ID:SECRET")
        assert not {"Signed URL", "Canonical URL", "URL"} & set(offered.all_inner_texts())
        assert "transform 'coffee.png'" in copied(page, "Command line")
        page.get_by_role("button", name="thumbnail").click()  # a preset of the recipe
        expect_result(page, "w=200,h=200,g=attention,fm=avif", 200)
        assert site.api.get(copied(page, "URL")).status_code == 200
        expect(page.locator("#snippets")).not_to_contain_text("SIGNING_KEYS")


LONG = "a-name-as-cameras-and-people-make-them-2026-11-30-the-last-one-of-all.png"


def test_a_long_name_is_cut_and_the_playground_stays_in_the_window(open_page: Open, site: Site) -> None:
    id_ = site.put(LONG, COFFEE.read_bytes())
    page = open_page(f"/#{id_}/w=640,fm=webp", width=390)
    expect_result(page, "w=640,fm=webp", 600)
    close = page.locator("#playground").get_by_role("button", name="Close")
    for part in (close, page.locator(".comparison"), page.locator(".snippet")):
        box = part.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_violation(open_page: Open, site: Site, axe: str, width: int) -> None:
    site.put("logos/mark.png", png(40, 40, (200, 0, 0, 255)))
    page = open_playground(open_page, site, width=width)
    page.evaluate(axe)
    page.locator("#against").select_option("avif")
    page.locator("summary", has_text="Overlays, shape").click()
    page.get_by_role("button", name="Add a text").click()
    expect(page.locator("#playground .verdict")).to_have_count(2)
    expect(page.get_by_role("button", name="Draw logos/mark.png")).to_be_visible()
    assert violations_in_both_schemes(page) == []
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    # Its parts scroll, and never the dialog itself, which would leave them.
    hidden = page.locator("#playground").evaluate("(dialog) => dialog.scrollHeight - dialog.clientHeight")
    assert hidden == 0
