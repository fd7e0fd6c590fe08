"""Windows of the browser that show the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page
from serving import Site

Open = Callable[..., Page]


@contextmanager
def opening(browser: Browser, site: Site) -> Iterator[Open]:
    """Opens the page. At the end, no page may have logged errors or sent requests to another host."""
    errors: list[str] = []
    contexts = []

    def opened(path: str = "/", *, width: int = 1280) -> Page:
        context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": 800},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: None if is_own(request.url) else errors.append(request.url))
        page.goto(path)
        return page

    def is_own(url: str) -> bool:
        return url.startswith((site.url, "blob:", "data:"))

    yield opened
    for context in contexts:
        context.close()
    # Chromium also logs responses that a test expects.
    expected = re.compile(r"responded with a status of (400|401|409|412|422|429|503)|net::ERR_FAILED")
    assert [error for error in errors if not expected.search(error)] == []
