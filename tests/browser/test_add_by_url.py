"""Adding an image by its URL, where the server has remote sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from serving import Site, serving
from test_accessibility import axe
from test_library import card, png
from windows import Open, opening

from support.chromium import violations
from support.scripted_http import Reply, Script, scripted

__all__ = ["axe"]


@pytest.fixture
def source() -> Iterator[Script]:
    files = {"/photos/cat.png": Reply(body=png(40, 30)), "/photos/dog.png?v=2": Reply(body=png(30, 40))}
    files["/photos/page.html"] = Reply(body=b"<html>")
    with scripted(Reply()) as script:
        script.respond = lambda seen: files.get(seen.target, Reply(404))
        yield script


@pytest.fixture
def site(tmp_path: Path, source: Script) -> Iterator[Site]:
    sources = f"shop/={source.address}/photos/"
    with serving(tmp_path / "data", REMOTE_SOURCES=sources, REMOTE_PRIVATE="127.0.0.1") as site:
        yield site


def add(page: Page, url: str, name: str = "") -> None:
    dialog = page.get_by_role("dialog", name="Add by URL")
    dialog.get_by_label("URL of an image").fill(url)
    dialog.get_by_label("Name in the library").fill(name)
    dialog.get_by_role("button", name="Add").click()


@pytest.mark.parametrize("width", [390, 1440])
def test_an_image_is_added_by_its_url(open_page: Open, source: Script, axe: str, width: int) -> None:
    page = open_page(width=width)
    page.get_by_role("button", name="Add by URL").click()
    dialog = page.get_by_role("dialog", name="Add by URL")
    expect(dialog.get_by_label("URL of an image")).to_be_focused()
    expect(dialog).to_contain_text(f"The server fetches files below {source.address}/photos/.")
    page.evaluate(axe)
    assert violations(page) == []
    box = dialog.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width

    add(page, f"{source.address}/photos/page.html")
    expect(dialog.get_by_role("alert")).to_have_text("This is not an image.")
    assert violations(page) == []
    add(page, f"{source.address}/photos/dog.png?v=2")
    expect(dialog.get_by_role("alert")).to_contain_text("expected a key, because the URL is none of its own")

    add(page, f"{source.address}/photos/cat.png")
    expect(dialog).to_have_count(0)
    expect(card(page, "shop/cat.png")).to_have_attribute("data-status", "processed")

    page.get_by_role("button", name="Add by URL").click()  # from where the library is shown
    add(page, f"{source.address}/photos/dog.png?v=2", "shop/cat.png")
    expect(dialog.get_by_role("alert")).to_have_text("There is an image of this name.")
    add(page, f"{source.address}/photos/dog.png?v=2", "dogs/2.png")
    expect(card(page, "dogs/2.png")).to_have_attribute("data-status", "processed")
    assert {seen.target for seen in source.seen} > {"/photos/cat.png", "/photos/dog.png?v=2"}


def test_without_sources_there_is_no_such_button(tmp_path: Path, browser: Browser) -> None:
    with serving(tmp_path / "other") as plain, opening(browser, plain) as opened:
        page = opened()
        expect(page.get_by_role("button", name="Choose images")).to_be_visible()
        expect(page.get_by_role("button", name=re.compile("URL"))).to_have_count(0)
