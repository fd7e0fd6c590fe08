"""The browser and the server of the browser tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from serving import Site, serving
from windows import Open, opening

from support.chromium import chromium

TIMEOUT = 30_000
"""Milliseconds until an expectation fails, enough for a busy machine."""

expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server of a module's tests. Starting one for each would take as much CPU as a page."""
    with serving(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def site(server: Site) -> Site:
    """A server whose library is empty."""
    server.empty()
    return server


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    with opening(browser, site) as opened:
        yield opened


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()
