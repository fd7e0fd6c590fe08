"""Large files in the studio: they continue where they stopped."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, Route, expect
from serving import Site
from transfers import drop

from support.waiting import wait_for

PART = 300_000
"""Bytes of a part that is large enough to be worth continuing."""


@pytest.fixture(scope="module")
def large() -> bytes:
    """An image of over 4 MB: noise cannot be compressed."""
    pixels = np.random.default_rng(1).integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def throttle(page: Page, bytes_a_second: int) -> None:
    page.context.new_cdp_session(page).send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second},
    )


def offsets(page: Page) -> list[int]:
    """Where each PATCH of the page began, as a list that grows."""
    seen: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            seen.append(int(request.headers["upload-offset"]))

    page.on("request", note)
    return seen


def begin(page: Page, site: Site, large: bytes) -> None:
    """Drop a large file, and wait until the server has a part of it."""
    throttle(page, 400_000)
    drop(page, ("large.png", large))
    parts = site.data / "resumable"
    wait_for(lambda: sum(path.stat().st_size for path in parts.glob("*.part")) > PART, "some bytes")


def expect_processed(page: Page, site: Site, large: bytes) -> None:
    expect(page.locator('.card[data-key="large.png"]')).to_have_attribute("data-status", "processed")
    assert (site.data / "uploads" / "large.png").read_bytes() == large


def test_an_upload_continues_after_the_page_was_opened_again(page: Page, site: Site, large: bytes) -> None:
    begin(page, site, large)
    page.goto("about:blank")  # ends the request
    page.goto("/")
    expect(page.locator("#empty")).to_be_visible()
    begun = offsets(page)
    throttle(page, -1)
    drop(page, ("large.png", large))
    expect_processed(page, site, large)
    assert begun
    assert all(offset > PART for offset in begun)
    assert page.evaluate("localStorage.length") == 0, "nothing is left to continue"


@pytest.mark.parametrize("status", [429, 503])
def test_an_upload_that_the_server_cannot_take_for_a_moment_is_tried_again(
    page: Page, site: Site, large: bytes, status: int
) -> None:
    begin(page, site, large)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    begun = offsets(page)
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if route.request.method != "PATCH" or refused:
            return route.fallback()
        refused.append(route.request.url)
        return route.fulfill(status=status)

    page.route("**/resumable/*", refuse_once)
    throttle(page, -1)
    page.get_by_role("button", name="Resume").click()
    expect_processed(page, site, large)
    assert len(refused) == 1
    assert len(begun) > 1
    assert all(offset > PART for offset in begun)


def test_an_upload_that_the_user_stops_is_continued_by_retry(page: Page, site: Site, large: bytes) -> None:
    begin(page, site, large)
    page.get_by_role("button", name="Stop").click()
    stopped = page.locator('.card[data-key="large.png"]')
    expect(stopped).to_contain_text("You stopped this upload.")
    assert not (site.data / "uploads" / "large.png").exists()
    begun = offsets(page)
    throttle(page, -1)
    page.get_by_role("button", name="Retry large.png").click()
    expect_processed(page, site, large)
    assert all(offset > PART for offset in begun)
    assert begun


def test_a_paused_upload_continues_where_it_stopped(page: Page, site: Site, large: bytes) -> None:
    begun = offsets(page)
    begin(page, site, large)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    throttle(page, -1)
    page.get_by_role("button", name="Resume").click()
    expect_processed(page, site, large)
    assert begun[0] == 0
    assert all(offset > PART for offset in begun[1:])
    assert len(begun) > 1
