"""The page has no violation that axe knows of, with many images, in both colour schemes and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from serving import Site
from test_library import png
from windows import Open

from support.chromium import axe_script, violations


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_script()


def test_axe_finds_no_violation(open_page: Open, site: Site, axe: str) -> None:
    site.put_all({f"notes/{number:02}.txt": b"words %d" % number for number in range(98)})
    site.put("notes.txt", b"words")
    image = site.put("logo.png", png(300, 200, (200, 0, 0, 90)))
    for scheme in ("light", "dark"):
        for width in (390, 1440):
            page = open_page(width=width, scheme=scheme)
            page.evaluate(axe)
            expect(page.locator(".picture.loaded")).to_be_visible()
            assert violations(page) == []
            page.evaluate("(id) => { location.hash = id }", image)
            expect(page.locator("#details .picture.loaded")).to_be_visible()
            assert violations(page) == []
            page.get_by_role("button", name="Set focus").click()
            expect(page.locator(".crops")).to_be_visible()
            assert violations(page) == []
            page.get_by_role("button", name="Done").click()
            page.get_by_role("button", name="Try transformations").click()
            expect(page.locator("#playground .after")).to_be_visible()
            assert violations(page) == []
            page.keyboard.press("Escape")
            page.get_by_role("button", name="Close").click()
            page.get_by_role("checkbox", name="Choose logo.png").check()
            expect(page.locator("#selection")).to_be_visible()
            assert violations(page) == []
            page.get_by_role("button", name="New folder").click()
            assert violations(page) == []
            page.context.close()
