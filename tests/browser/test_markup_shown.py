"""Generated markup in a real page: the browser loads the right rendition, and the layout is stable."""

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
[presets.responsive]
widths = [100, 200, 400]
formats = ["avif", "webp", "jpeg"]
[[rules]]
match = "**"
presets = ["responsive"]
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
    """A page 800 CSS pixels wide, with ``density`` device pixels each."""
    context = browser.new_context(
        base_url=site.url, device_scale_factor=density, viewport={"width": 800, "height": 600}
    )
    page = context.new_page()
    text = f"<!doctype html><meta charset=utf-8><title>A page</title>{body}"
    page.route("**/a-page", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.goto("/a-page")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.currentSrc)")
    return page


@pytest.mark.parametrize("params", [{}, {"widths": "100,200,400"}, {"widths": "101,199,402"}])
@pytest.mark.parametrize(("density", "index"), [(1, 0), (2, 1), (4, 2)])
@pytest.mark.parametrize(("part", "format_"), [("img", "jpeg"), ("picture", "avif")])
def test_the_browser_loads_the_smallest_sharp_rendition(
    browser: Browser,
    site: Site,
    params: dict[str, str],
    density: int,
    index: int,
    part: str,
    format_: str,
) -> None:
    html = markup(site, sizes="95px", **params)
    page = opened(browser, site, html[part], density)
    chosen, complete = page.evaluate(
        "[document.images[0].currentSrc, document.images[0].complete && document.images[0].naturalWidth > 0]"
    )
    width = params.get("widths", "100,200,400").split(",")[index]
    assert complete
    assert f"w={width}" in chosen
    assert f"fm={format_}" in chosen
    page.context.close()


def test_space_is_reserved_and_the_placeholder_shows_while_it_loads(browser: Browser, site: Site) -> None:
    html = markup(site, sizes="400px")
    context = browser.new_context(base_url=site.url, viewport={"width": 800, "height": 600})
    page = context.new_page()
    text = f"<!doctype html><title>A page</title>{html['picture']}<p>Below</p>"
    page.route("**/a-page", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.route("**/renditions/**", lambda _: None)  # never responds
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
    assert behind == [html["placeholder"], 10, 7]
    context.close()


@pytest.mark.parametrize("density", [1, 2])
def test_a_background_loads_a_sharp_rendition_in_the_best_format(
    browser: Browser, site: Site, density: int
) -> None:
    html = markup(site)
    requested: list[str] = []
    body = f"<style>{html['css']}</style><div class=picture style='width: 200px'></div>"
    context = browser.new_context(base_url=site.url, device_scale_factor=density)
    page = context.new_page()
    page.on("request", lambda request: requested.append(request.url))
    text = f"<!doctype html><meta charset=utf-8>{body}"
    page.route("**/a-page", lambda route: route.fulfill(body=text, content_type="text/html"))
    with page.expect_response("**/renditions/**"):
        page.goto("/a-page")
    (url,) = [item for item in requested if "/renditions/" in item]
    assert f"w={200 * density},fm=avif.avif" in url
    height = page.evaluate("document.querySelector('.picture').getBoundingClientRect().height")
    assert abs(height - 200 * 267 / 400) < 0.1
    context.close()


@pytest.mark.parametrize("params", [{}, {"widths": "101,199,402"}])
def test_the_loader_returns_urls_that_open(browser: Browser, site: Site, params: dict[str, str]) -> None:
    html = markup(site, **params)
    page = opened(browser, site, "", 1)
    urls = page.evaluate(
        """async ([text, src]) => {
            const module = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
            const { default: loader } = await import(module);
            return [1, 150, 9999].map((width) => loader({ src, width }));
        }""",
        [html["loader"], KEY],
    )
    widths = [int(width) for width in params.get("widths", "100,200,400").split(",")]
    for url, width in zip(urls, widths, strict=True):
        found = page.evaluate(
            """async (url) => {
                const response = await fetch(url, { headers: { accept: "image/avif,*/*" } });
                const image = await createImageBitmap(await response.blob());
                return [response.status, response.headers.get("content-type"), image.width];
            }""",
            url,
        )
        assert found == [200, "image/avif", width], json.dumps(url)
    page.context.close()
