"""The browser and the server of the browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path / "data") as site:
        yield site


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    with opening(browser, site) as opened:
        yield opened


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()
