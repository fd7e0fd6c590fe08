"""The tutorials, each in a clone of its own, and their pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tutorial import PAGES, Tutorial

from support.chromium import chromium

WAIT = 60_000
"""Milliseconds until an expectation fails, enough for a busy machine."""

expect.set_options(timeout=WAIT)


@pytest.fixture
def tutorial(tmp_path: Path) -> Iterator[Callable[..., Tutorial]]:
    with ExitStack() as stack:
        yield lambda name, **replace: stack.enter_context(closing(Tutorial(tmp_path, name, **replace)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page 760 pixels wide. An error in its console fails the test."""
    page = browser.new_page(viewport={"width": 760, "height": 460})
    page.set_default_timeout(WAIT)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def picture(page: Page, tmp_path: Path) -> Callable[[str], None]:
    """Takes the picture of a tutorial again where PICTURES is set."""

    def take(name: str) -> None:
        if os.environ.get("PICTURES"):
            shot = tmp_path / "picture.png"
            page.screenshot(path=shot)
            with Image.open(shot) as image:
                image.save(PAGES / f"{name}.webp", quality=62)

    return take
