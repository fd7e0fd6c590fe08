"""What the first view of the library costs: requests and layouts, which a busy machine does not change."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import expect
from serving import Site
from test_library import png
from windows import Open

MAX_LAYOUTS = 40
"""A page that lays out each card by itself would need hundreds for as many cards."""
IMAGES = 100
CALLS = {"/session", "/images", "/folders", "/events", "/health"}


def test_the_first_view_needs_few_requests_and_layouts(open_page: Open, site: Site) -> None:
    site.put_all({f"{number:02}.png": png(40, 30, (number, 90, 40)) for number in range(IMAGES)})
    page = open_page()
    page.goto("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    before = layouts(devtools)
    page.goto("/")
    shown = page.locator(".card .picture.loaded")
    expect(shown.nth(3)).to_be_visible()
    spent = layouts(devtools) - before
    while not set(asked) >= CALLS:
        page.wait_for_timeout(20)
    own = [path for path in asked if not path.startswith("/renditions/")]
    files = [path for path in own if path.startswith("/static/") and not path.endswith("icon.svg")]
    assert len(files) == len(set(files)) <= 4, files  # two scripts and two styles
    calls = [path for path in own if path != "/" and not path.startswith("/static/")]
    assert set(calls) == CALLS
    assert calls.count("/images") == calls.count("/session") == 1, calls
    # Cards that nobody sees ask for nothing.
    assert len(asked) - len(own) < IMAGES / 2
    assert 0 < spent <= MAX_LAYOUTS, spent


def layouts(devtools: object) -> int:
    metrics = devtools.send("Performance.getMetrics")["metrics"]  # type: ignore[attr-defined]
    return int(next(item["value"] for item in metrics if item["name"] == "LayoutCount"))
