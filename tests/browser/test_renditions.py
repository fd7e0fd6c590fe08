"""Rendition URLs in a page: what a browser requests and shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage
from playwright.sync_api import Browser, Page, Response
from serving import Site, serving

from image_processor.delivery.url.parser import parse_url
from image_processor.delivery.url.signing import Keyring, signature_query

COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"
SECRET = "a-secret-for-the-browser"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("server") / "data", SIGNING_KEYS=f"a:{SECRET}") as site:
        site.put("coffee.png", COFFEE.read_bytes())
        yield site


@pytest.fixture
def shown(browser: Browser, site: Site) -> Iterator[Page]:
    with browser.new_context(base_url=site.url) as context:
        yield context.new_page()


def show(page: Page, source: str) -> tuple[Response, list[int]]:
    """The response for an image in a page, and its size in the browser."""
    html = f"""<!doctype html><title>A page</title><img src="{source}">"""
    page.route("**/a-page", lambda route: route.fulfill(body=html, content_type="text/html"))
    with page.expect_response(lambda response: "/renditions/" in response.url) as received:
        page.goto("/a-page")
    size = page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]")
    page.unroute("**/a-page")
    return received.value, size


def signed(query: str) -> str:
    signature = Keyring({"a": SECRET.encode()}).sign(parse_url("coffee.png", query))
    return f"/renditions/coffee.png?{query}&{signature_query(signature)}"


def test_a_declared_rendition_is_avif_for_a_browser_that_accepts_it(shown: Page) -> None:
    response, size = show(shown, "/renditions/coffee.png?w=320&fm=auto")
    assert (response.status, response.headers["content-type"]) == (200, "image/avif")
    assert response.headers["vary"] == "Accept"
    assert size == [320, 213]


def test_a_signed_url_is_rendered_and_shown(shown: Page) -> None:
    response, size = show(shown, signed("w=123&h=123&fm=auto"))
    assert (response.status, response.headers["content-type"]) == (200, "image/avif")
    assert "render;dur=" in response.headers["server-timing"]
    assert size == [123, 123]
    again, _ = show(shown, signed("w=123&h=123&fm=auto&v=2"))
    assert again.status == 200
    assert "server-timing" not in again.headers


def test_without_a_signature_nothing_is_shown(shown: Page) -> None:
    response, size = show(shown, "/renditions/coffee.png?w=123&h=123&fm=auto")
    assert (response.status, size) == (403, [0, 0])
    assert response.json()["code"] == "signature-missing"


def test_a_rendition_opened_as_a_document_is_sandboxed(shown: Page) -> None:
    response = shown.goto(signed("w=50&fm=auto"))
    assert response is not None
    assert response.headers["content-security-policy"].endswith("sandbox")
    assert shown.evaluate("document.images[0].naturalWidth") == 50
    assert shown.evaluate("self.origin") == "null"  # sandboxed: an opaque origin
