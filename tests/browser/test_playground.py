"""The playground: parameters, previews, undo, and links."""

from __future__ import annotations

from pathlib import Path

import skimage
from playwright.sync_api import Page, expect
from serving import Site
from windows import Open

COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"  # 600 pixels wide


def copied(page: Page, title: str) -> str:
    row = page.locator(f'.copies dt:text-is("{title}") + dd code')
    return row.inner_text()


def expect_result(page: Page, text: str, width: int) -> None:
    """Wait for the preview of ``text``, the canonical one, which is ``width`` pixels wide."""
    expect(page.locator(".copies dd code").first).to_have_text(text)
    page.wait_for_function(
        "(width) => document.querySelector('.comparison .after')?.naturalWidth === width", arg=width
    )


def test_a_transformation_is_tried_undone_and_shared(open_page: Open, site: Site) -> None:
    id_ = site.put("coffee.png", COFFEE.read_bytes())
    page = open_page(f"/#{id_}")
    page.get_by_role("button", name="Try transformations").click()
    expect_result(page, "w=640,fm=webp", 600)
    page.locator("#parameter-w").fill("200")
    expect_result(page, "w=200,fm=webp", 200)
    expect(page.locator("#playground .verdict")).to_contain_text("WEBP")
    page.locator("#parameter-fm").select_option("png")
    expect_result(page, "w=200,fm=png", 200)
    page.get_by_role("button", name="Undo").click()
    expect_result(page, "w=200,fm=webp", 200)
    page.locator("#parameter-h").fill("99999")
    expect(page.locator("#playground .problem")).to_contain_text("from 1 to 16383 for h, got 99999")
    page.get_by_role("button", name="Reset h").click()
    expect_result(page, "w=200,fm=webp", 200)
    assert copied(page, "Command") == (
        "image-processor transform 'coffee.png' 'w=200,fm=webp' --out rendition.webp"
    )

    again = open_page(copied(page, "Link to this page").removeprefix(site.url))
    expect_result(again, "w=200,fm=webp", 200)
    again.keyboard.press("Escape")
    expect(again.locator("#playground")).to_have_count(0)
    expect(again.locator("#details")).to_be_visible()
