"""The library: order, filters, folders, several images at once, and what is in the address."""

from __future__ import annotations

import io
import random
import re
from zipfile import ZipFile

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from serving import Site
from test_library import card, delete_held, png
from timers import hold_timers, run_held_timers
from transfers import drop
from windows import Open

from image_processor.domain.keys import image_id
from support.waiting import wait_for

WIDTHS = [390, 1440]


def jpeg(size: int, quality: int) -> bytes:
    """A picture of noise, of which more pixels and a higher quality make a larger file."""
    pixels = Image.frombytes("RGB", (size, size), random.Random(size).randbytes(3 * size * size))
    buffer = io.BytesIO()
    pixels.resize((2 * size, 2 * size)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def names(page: Page) -> list[str]:
    found: list[str] = page.locator(".card").evaluate_all(
        "(cards) => cards.sort((a, b) => a.dataset.index - b.dataset.index).map((card) => card.dataset.key)"
    )
    return found


def expect_names(page: Page, *keys: str) -> None:
    expect(page.locator(".card")).to_have_count(len(keys))
    for index, key in enumerate(keys):
        expect(page.locator(f'.card[data-index="{index}"]')).to_have_attribute("data-key", key)


def rendered_at(site: Site) -> dict[str, str]:
    return {image["id"]: image["updated_at"] for image in site.api.get("/images").json()["images"]}


@pytest.mark.parametrize("width", WIDTHS)
def test_order_and_filters_are_in_the_address(open_page: Open, site: Site, width: int) -> None:
    site.put("b.jpg", jpeg(60, 60))
    site.put("c.png", png(4, 4))
    site.put("a.jpg", jpeg(300, 95))
    site.put("d.txt", b"words")
    page = open_page(width=width)
    expect_names(page, "d.txt", "a.jpg", "c.png", "b.jpg")
    page.get_by_label("Order").select_option("By name")
    expect_names(page, "a.jpg", "b.jpg", "c.png", "d.txt")
    page.get_by_label("Order").select_option("Largest first")
    expect_names(page, "a.jpg", "b.jpg", "c.png", "d.txt")
    page.get_by_label("Format").select_option("JPEG")
    expect_names(page, "a.jpg", "b.jpg")
    page.get_by_label("Size").select_option("100 kB to 1 MB")
    expect_names(page, "a.jpg")
    page.get_by_label("Added").select_option("Last 24 hours")
    expect_names(page, "a.jpg")
    expect(page.locator(".total")).to_have_text("1\u00a0image")
    page.reload()
    expect_names(page, "a.jpg")
    expect(page.get_by_label("Format")).to_have_value("jpeg")
    assert "sort=size&format=jpeg&size=medium&date=day" in page.url
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".card")).to_have_count(4)
    assert page.url.endswith("?sort=size")


@pytest.mark.parametrize("width", WIDTHS)
def test_folders_are_opened_and_get_what_is_added(open_page: Open, site: Site, width: int) -> None:
    site.put_all({key: png() for key in ("a.png", "one/b.png", "one/two/c.png")})
    page = open_page(width=width)
    page.get_by_role("button", name="one 2").click()
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="two 1").click()
    expect_names(page, "one/two/c.png")
    drop(page, ("d.png", png()))
    expect(card(page, "one/two/d.png")).to_have_attribute("data-status", "processed")
    page.get_by_role("button", name="one", exact=True).click()
    expect(page.locator(".card")).to_have_count(3)
    expect(page.get_by_role("button", name="two 2")).to_be_visible()
    page.go_back()
    expect(page.locator(".card")).to_have_count(2)
    page.get_by_role("button", name="New folder").click()
    page.get_by_label("Name, in one/two/").fill(" new / deep/../")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#nothing")).to_contain_text("This folder is empty.")
    drop(page, ("e.png", png()))
    expect(card(page, "one/two/new/deep/e.png")).to_have_attribute("data-status", "processed")
    page.get_by_role("button", name="Library").click()
    expect(page.locator(".card")).to_have_count(5)
    assert (site.data / "uploads" / "one" / "two" / "new" / "deep" / "e.png").exists()


@pytest.mark.parametrize("width", WIDTHS)
def test_several_images_are_downloaded_rendered_again_and_deleted(
    open_page: Open, site: Site, width: int
) -> None:
    bodies = {f"{number}.png": png(8, 8, (number, 0, 0)) for number in range(5)}
    site.put_all(bodies)
    page = open_page("/?sort=name", width=width)
    hold_timers(page)
    expect(page.locator(".card")).to_have_count(5)
    page.get_by_role("checkbox", name="Choose 1.png").check()
    expect(page.locator("#selection")).to_contain_text("1\u00a0image selected")
    card(page, "3.png").locator("a").click(modifiers=["Shift"])
    expect(page.locator("#selection")).to_contain_text("3\u00a0images selected")
    card(page, "2.png").locator("a").click()
    expect(page.locator(".card.selected")).to_have_count(2)

    with page.expect_download() as download:
        page.get_by_role("button", name="Download originals").click()
    with ZipFile(download.value.path()) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: bodies[name] for name in ("1.png", "3.png")
        }

    before = rendered_at(site)
    page.get_by_role("button", name="Render again").click()
    expect(page.locator("#toast")).to_contain_text("2\u00a0images are rendered again.")
    again = {image_id("uploads", key) for key in ("1.png", "3.png")}
    wait_for(lambda: all(rendered_at(site)[id_] > before[id_] for id_ in again), "both rendered again")
    assert {id_ for id_, time in rendered_at(site).items() if time > before[id_]} == again

    page.get_by_role("button", name="Delete").click()
    expect_names(page, "0.png", "2.png", "4.png")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".card")).to_have_count(5)
    card(page, "0.png").locator(".open").focus()
    page.keyboard.press("Control+a")
    expect(page.locator(".card.selected")).to_have_count(5)
    page.keyboard.press("Delete")
    expect(page.locator("#empty")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.locator(".card")).to_have_count(5)
    card(page, "0.png").locator(".open").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".card.selected")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_have_count(0)
    assert {file.name for file in (site.data / "uploads").glob("*.png")} == set(bodies)


def test_keys_go_on_where_an_image_was_deleted(open_page: Open, site: Site) -> None:
    site.put_all({f"{number}.png": png() for number in range(4)})
    page = open_page("/?sort=name")
    hold_timers(page)
    expect(page.locator(".card")).to_have_count(4)
    card(page, "1.png").locator(".open").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Delete")
    expect_names(page, "0.png", "2.png", "3.png")
    expect(card(page, "2.png").locator(".open")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(card(page, "3.png").locator(".open")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Delete")
    expect(card(page, "2.png").locator(".open")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#details-name")).to_have_text("2.png")


def test_a_deletion_that_cannot_be_undone_any_more_is_done(page: Page, site: Site) -> None:
    """After its time, and when the page is closed before."""
    site.put_all({"a.png": png(), "b.png": png()})
    page.reload()
    hold_timers(page)
    page.get_by_role("checkbox", name="Choose a.png").check()
    page.keyboard.press("Delete")
    expect_names(page, "b.png")
    delete_held(page, site.data / "uploads" / "a.png")
    page.get_by_role("checkbox", name="Choose b.png").check()
    page.keyboard.press("Delete")
    expect(page.locator("#empty")).to_be_visible()
    left = site.data / "uploads" / "b.png"
    assert left.exists()
    page.goto("about:blank")
    wait_for(lambda: not left.exists(), "the deletion of b.png")


def test_similar_images_are_a_filter(open_page: Open, site: Site) -> None:
    body = jpeg(60, 95)
    site.put("a.jpg", body)
    near = io.BytesIO()
    Image.open(io.BytesIO(body)).resize((90, 90)).save(near, "JPEG")
    site.put("b.jpg", near.getvalue())
    site.put("c.png", png(30, 20, (0, 0, 90)))
    page = open_page(f"/?near={image_id('uploads', 'a.jpg')}")
    expect_names(page, "a.jpg", "b.jpg")
    expect(page.locator(".near")).to_contain_text("Images that look like a.jpg")
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".card")).to_have_count(3)
    assert not re.search("near", page.url)
    page.goto(f"/?near={image_id('uploads', 'c.png')}")
    expect(page.locator(".near")).to_contain_text("No other image looks like c.png.")


def test_an_order_that_the_server_lacks_is_explained(page: Page, site: Site) -> None:
    site.put("a.png", png())
    page.reload()
    problem = {"status": 400, "code": "invalid", "detail": "expected newest, as there is no other index"}
    page.route("**/images?*sort=*", lambda route: route.fulfill(status=400, json=problem))
    page.get_by_label("Order").select_option("By name")
    expect(page.locator("#toast")).to_contain_text("expected newest, as there is no other index")


def test_all_that_match_are_chosen_also_what_is_not_loaded(page: Page, site: Site) -> None:
    bodies = {f"in/{number:03}.txt": b"words %d" % number for number in range(105)}
    site.put_all({**bodies, "other.txt": b"other words"})
    page.goto("/?search=in/")
    hold_timers(page)
    expect(page.locator(".total")).to_have_text("105\u00a0images")
    page.get_by_role("checkbox", name="Choose 104.txt").check()
    page.get_by_role("button", name="Select all 105").click()
    expect(page.locator("#selection")).to_contain_text("105\u00a0images selected")
    expect(page.get_by_role("button", name="Select all")).to_have_count(0)
    page.get_by_role("checkbox", name="Choose 104.txt").uncheck()
    expect(page.locator("#selection")).to_contain_text("104\u00a0images selected")
    page.keyboard.press("Delete")
    expect(page.locator("#toast")).to_contain_text("104\u00a0images deleted.")
    expect(page.locator(".total")).to_have_text("1\u00a0image")
    page.keyboard.press("Control+z")
    expect(page.locator(".total")).to_have_text("105\u00a0images")
    page.keyboard.press("Control+a")
    expect(page.locator("#selection")).to_contain_text("105\u00a0images selected")
    page.keyboard.press("Delete")
    expect(page.locator("#nothing")).to_be_visible()
    run_held_timers(page)
    wait_for(lambda: not list((site.data / "uploads" / "in").glob("*.txt")), "the deletion of all")
    expect(page.locator("#state-text")).to_have_text("Up to date")
    page.get_by_role("button", name="Show all").click()
    expect_names(page, "other.txt")
