"""docs/learn/responsive-images.md: its commands, and what a browser loads of the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tutorial import Tutorial

SHOWN = "document.querySelector('img').naturalWidth > 0"
IMAGES = """[...document.images].map(image => ({
    source: image.currentSrc, lazy: image.loading === 'lazy', room: [image.width, image.height],
    ratio: image.getAttribute('width') / image.getAttribute('height'),
}))"""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tutorial]:
    # Two photos fewer than on the page.
    fewer = {
        " grey duotone green;": " grey;",
        " grey.jpg duotone.jpg green.jpg": " grey.jpg",
        "5\n<h1>": "3\n<h1>",
    }
    tutorial = Tutorial(tmp_path_factory.mktemp("clone"), "responsive-images", replace=fewer)
    tutorial.follow(until="kill %1")
    yield tutorial
    tutorial.follow()
    tutorial.close()


@pytest.mark.parametrize(
    ("width", "density", "expected"), [(412, 1.75, 720), (412, 1, 480), (1280, 1, 960), (1280, 2, 1280)]
)
def test_each_screen_gets_the_width_that_it_needs(
    followed: Tutorial, browser: Browser, width: int, density: float, expected: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, device_scale_factor=density)
    page.goto(followed.address(8080))
    page.wait_for_function(SHOWN)
    first, *others = page.evaluate(IMAGES)
    page.close()
    assert first["source"] == f"{followed.address(8000)}/renditions/cat.jpg/w={expected},fm=avif.avif"
    assert not first["lazy"]
    assert len(others) == 2
    assert all(image["lazy"] for image in others)
    for image in (first, *others):
        assert image["ratio"] == pytest.approx(1353 / 900, abs=0.01)
        assert image["room"][0] / image["room"][1] == pytest.approx(image["ratio"], abs=0.01)


def test_the_page_before_loads_originals_without_room(followed: Tutorial, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{followed.address(8080)}/before.html")
    page.wait_for_function(SHOWN)
    images = page.evaluate(IMAGES)
    page.close()
    names = [Path(image["source"]).name for image in images]
    assert names == ["cat.jpg", "flip.jpg", "grey.jpg"]
    assert not any(image["lazy"] for image in images)
