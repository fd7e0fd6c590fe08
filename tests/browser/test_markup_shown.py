"""The markup of an image in a page: the browser picks what it should, and nothing jumps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import skimage
from playwright.sync_api import Browser, Page
from serving import Site, serving

from image_processor.domain.keys import image_id
from image_processor.standalone import BUCKET

COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"
"""600 x 400 pixels."""
KEY = 'it\'s a ("cup") <b> é.png'
RECIPE = """
[presets.ladder]
widths = [100, 200, 400]
formats = ["avif", "webp", "jpeg"]
[[rules]]
match = "**"
presets = ["ladder"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("markup")
    (folder / "recipe.toml").write_text(RECIPE)
    keys = "a:a-secret-for-the-browser"
    with serving(folder / "data", RECIPE=str(folder / "recipe.toml"), SIGNING_KEYS=keys) as site:
        site.put(quote(KEY), COFFEE.read_bytes())
        assert site.api.post("/images", json={"key": KEY}).json()["status"] == "processed"
        yield site


def markup(site: Site, **params: str) -> Any:
    return site.api.get(f"/images/{image_id(BUCKET, KEY)}/markup", params=params).raise_for_status().json()


def opened(browser: Browser, site: Site, body: str, density: float) -> Page:
    """A page of 800 pixels' width at so many device pixels for each."""
    context = browser.new_context(
        base_url=site.url, device_scale_factor=density, viewport={"width": 800, "height": 600}
    )
    page = context.new_page()
    text = f"<!doctype html><meta charset=utf-8><title>A page</title>{body}"
    page.route("**/a-page", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.goto("/a-page", wait_until="networkidle")
    return page


@pytest.mark.parametrize("params", [{}, {"widths": "100,200,400"}, {"widths": "101,199,402"}])
@pytest.mark.parametrize(("density", "rung"), [(1, 0), (2, 1), (4, 2)])
@pytest.mark.parametrize(("part", "format_"), [("img", "jpeg"), ("picture", "avif")])
def test_the_least_picture_that_is_sharp_is_taken(
    browser: Browser,
    site: Site,
    params: dict[str, str],
    density: int,
    rung: int,
    part: str,
    format_: str,
) -> None:
    told = markup(site, sizes="95px", **params)
    page = opened(browser, site, told[part], density)
    chosen, complete = page.evaluate(
        "[document.images[0].currentSrc, document.images[0].complete && document.images[0].naturalWidth > 0]"
    )
    width = params.get("widths", "100,200,400").split(",")[rung]
    assert complete
    assert f"w={width}" in chosen
    assert f"fm={format_}" in chosen
    page.context.close()


def test_its_place_is_kept_before_it_is_there_and_a_blur_is_in_it(browser: Browser, site: Site) -> None:
    told = markup(site, sizes="400px")
    context = browser.new_context(base_url=site.url, viewport={"width": 800, "height": 600})
    page = context.new_page()
    text = f"<!doctype html><title>A page</title>{told['picture']}<p>Below</p>"
    page.route("**/a-page", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.route("**/renditions/**", lambda _: None)  # never answered
    page.goto("/a-page", wait_until="commit")
    page.wait_for_selector("p")
    box = page.evaluate("document.images[0].getBoundingClientRect().toJSON()")
    assert (box["width"], box["height"]) == (400, 267)
    behind = page.evaluate(
        """async () => {
            const found = getComputedStyle(document.images[0]).backgroundImage;
            const blurred = new Image();
            blurred.src = found.slice(5, -2);
            await blurred.decode();
            return [blurred.src, blurred.naturalWidth, blurred.naturalHeight];
        }"""
    )
    assert behind == [told["placeholder"], 10, 7]
    context.close()


@pytest.mark.parametrize("density", [1, 2])
def test_a_background_takes_what_is_sharp_in_the_best_format(
    browser: Browser, site: Site, density: int
) -> None:
    told = markup(site)
    asked: list[str] = []
    body = f"<style>{told['css']}</style><div class=picture style='width: 200px'></div>"
    context = browser.new_context(base_url=site.url, device_scale_factor=density)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    text = f"<!doctype html><meta charset=utf-8>{body}"
    page.route("**/a-page", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.goto("/a-page", wait_until="networkidle")
    (picture,) = [url for url in asked if "/renditions/" in url]
    assert f"w={200 * density},fm=avif.avif" in picture
    height = page.evaluate("document.querySelector('.picture').getBoundingClientRect().height")
    assert abs(height - 200 * 267 / 400) < 0.1
    context.close()


@pytest.mark.parametrize("params", [{}, {"widths": "101,199,402"}])
def test_the_loader_gives_urls_that_open(browser: Browser, site: Site, params: dict[str, str]) -> None:
    told = markup(site, **params)
    page = opened(browser, site, "", 1)
    urls = page.evaluate(
        """async ([text, src]) => {
            const made = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
            const { default: loader } = await import(made);
            return [1, 150, 9999].map((width) => loader({ src, width }));
        }""",
        [told["loader"], KEY],
    )
    widths = [int(width) for width in params.get("widths", "100,200,400").split(",")]
    for url, width in zip(urls, widths, strict=True):
        found = page.evaluate(
            """async (url) => {
                const answer = await fetch(url, { headers: { accept: "image/avif,*/*" } });
                const picture = await createImageBitmap(await answer.blob());
                return [answer.status, answer.headers.get("content-type"), picture.width];
            }""",
            url,
        )
        assert found == [200, "image/avif", width], json.dumps(url)
    page.context.close()
