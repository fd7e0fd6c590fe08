"""Large files in the studio: they continue where they stopped."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect
from serving import Site
from transfers import drop

from support.waiting import wait_for


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


def test_a_paused_upload_continues_where_it_stopped(page: Page, site: Site, large: bytes) -> None:
    begun = offsets(page)
    throttle(page, 400_000)
    drop(page, ("large.png", large))
    part = site.data / "resumable"
    wait_for(lambda: sum(path.stat().st_size for path in part.glob("*.part")) > 300_000, "some bytes")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    throttle(page, -1)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator('.card[data-key="large.png"]')).to_have_attribute("data-status", "processed")
    assert begun[0] == 0
    assert all(offset > 300_000 for offset in begun[1:])
    assert len(begun) > 1
    assert (site.data / "uploads" / "large.png").read_bytes() == large
