"""What the page shows can be copied, also in pages over HTTP, to which browsers give no clipboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from serving import Site
from test_library import png
from windows import Open

WITHOUT_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"
CLIPBOARD = "Object.getOwnPropertyDescriptor(Navigator.prototype, 'clipboard').get.call(navigator).readText()"
"""The browser's own, which the page may not find."""


def copied(page: Page, what: str) -> str:
    """What is on the clipboard after a click on the button that copies ``what``, the beginning of a name."""
    pattern = re.compile("^Copy " + r"\s".join(map(re.escape, what.split())))
    page.get_by_role("button", name=pattern).first.click()
    expect(page.locator("#toast")).to_contain_text("copied.")
    text: str = page.evaluate(CLIPBOARD)
    return text


@pytest.fixture(params=["clipboard", "selection"])
def page(request: pytest.FixtureRequest, open_page: Open, site: Site) -> Page:
    site.put("in/dahlia.png", png(60, 40, (200, 20, 90)))
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if request.param == "selection":
        page.add_init_script(WITHOUT_CLIPBOARD)
        page.reload()
    return page


def test_facts_and_addresses_of_an_image_are_copied(page: Page, site: Site) -> None:
    image = site.api.get("/images").json()["images"][0]
    made = image["renditions"][0]
    pixels = f"{made['width']} \u00d7 {made['height']}"
    texts = {
        "Name": "in/dahlia.png",
        "Colour": image["dominant_colour"],
        image["palette"][0]: image["palette"][0],
        "Id": image["id"],
        "SHA-256": image["facts"]["sha256"],
        f"URL of {pixels}, {made['format'].upper()}": site.url + made["url"],
    }
    page.locator(".card a.open").click()
    page.get_by_text("Digests").click()
    assert {what: copied(page, what) for what in texts} == texts
    page.get_by_role("button", name="Try transformations").click()
    page.get_by_role("button", name="Transformation", exact=True).click()
    assert copied(page, "Transformation") == "w=640,fm=webp"


def test_the_recipe_and_commands_of_the_reference_are_copied(page: Page, site: Site) -> None:
    page.goto("/#/recipe")
    page.reload()
    assert copied(page, "the recipe") == page.locator("#recipe-text").input_value()
    page.goto("/docs")
    assert copied(page, "Command for get_health") == f"curl '{site.url}/health'"
    page.get_by_placeholder("Find").fill("no such operation")
    expect(page.get_by_role("status").first).to_contain_text("No operation matches “no such operation”.")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator("#get_health")).to_be_visible()
