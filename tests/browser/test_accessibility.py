"""The page has no violation that axe knows of, with many images, in both colour schemes and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from serving import Site
from test_library import png
from windows import Open

from support.chromium import axe_script, violations_in_both_schemes


@pytest.fixture(scope="module")
def axe() -> str:
    return axe_script()


def test_a_fault_of_one_scheme_is_found(browser: Browser, axe: str) -> None:
    page = browser.new_page()
    dark = "body { background: #111; color: #222; transition: color 0.1s }"
    page.set_content(f"<style>@media (prefers-color-scheme: dark) {{ {dark} }}</style><p>Some words</p>")
    page.evaluate(axe)
    found = [finding for finding in violations_in_both_schemes(page) if "color-contrast" in finding]
    page.close()
    assert found == ["dark: color-contrast: <p>Some words</p>"]


def test_axe_finds_no_violation(open_page: Open, site: Site, axe: str) -> None:
    site.put_all({f"notes/{number:02}.txt": b"words %d" % number for number in range(98)})
    site.put("notes.txt", b"words")
    image = site.put("logo.png", png(300, 200, (200, 0, 0, 90)))
    for width in (390, 1440):
        page = open_page(width=width)
        page.evaluate(axe)
        expect(page.locator(".picture.loaded")).to_be_visible()
        assert violations_in_both_schemes(page) == []
        page.evaluate("(id) => { location.hash = id }", image)
        expect(page.locator("#details .picture.loaded")).to_be_visible()
        assert violations_in_both_schemes(page) == []
        page.get_by_role("button", name="Set focus").click()
        expect(page.locator(".crops")).to_be_visible()
        assert violations_in_both_schemes(page) == []
        page.get_by_role("button", name="Done").click()
        page.get_by_role("button", name="Try transformations").click()
        expect(page.locator("#playground .after")).to_be_visible()
        assert violations_in_both_schemes(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Close").click()
        page.get_by_role("checkbox", name="Choose logo.png").check()
        expect(page.locator("#selection")).to_be_visible()
        assert violations_in_both_schemes(page) == []
        page.get_by_role("button", name="New folder").click()
        assert violations_in_both_schemes(page) == []
        page.context.close()
