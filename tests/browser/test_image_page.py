"""The page of one image: zoom, facts, renditions, similar images, its focus, and what is done with it."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect
from serving import Site
from test_library import png
from timers import hold_timers
from windows import Open

import image_processor
from image_processor.domain.keys import image_id

WIDTHS = [390, 1440]
TIMES = "\u00a0\u00d7\u00a0"
PHOTOS = Path(pytest.importorskip("skimage").__file__).parent / "data"
COFFEE = (PHOTOS / "coffee.png").read_bytes()
ID = image_id("uploads", "a/coffee.png")


def focus_of(site: Site) -> list[float] | None:
    point: list[float] | None = site.api.get(f"/images/{ID}").json()["focal_point"]
    return point


def wait_for_focus(page: Page, site: Site, expected: list[float] | None) -> None:
    for _ in range(200):
        point = focus_of(site)
        if point == expected or (point and expected and point == pytest.approx(expected, abs=0.01)):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"expected the focus {expected}, got {focus_of(site)}")


def expect_marker(page: Page, point: list[float]) -> None:
    """The page shows the focus, or else the salient point, there."""
    x, y = (int(100 * fraction + 0.5) for fraction in point)  # as JavaScript rounds
    label = f"Focus: {x}\u00a0% from the left, {y}\u00a0% from the top"
    expect(page.get_by_role("button", name=label)).to_be_visible()


def box_of(page: Page, element: Locator) -> dict[str, float]:
    """The box of ``element`` once it is the same in two frames of the page."""
    two_frames = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    before, box = None, element.bounding_box()
    while box is None or box != before:
        page.evaluate(two_frames)
        before, box = box, element.bounding_box()
    return dict(box)


@pytest.fixture
def coffee(site: Site) -> Site:
    site.put("a/coffee.png", COFFEE)
    return site


@pytest.mark.parametrize("width", WIDTHS)
def test_an_image_shows_its_facts_renditions_and_what_is_similar(
    open_page: Open, coffee: Site, width: int
) -> None:
    copy = io.BytesIO()
    Image.open(io.BytesIO(COFFEE)).resize((300, 200)).save(copy, "JPEG", quality=60)
    coffee.put("copy.jpg", copy.getvalue())
    page = open_page(f"/#{ID}", width=width)
    details = page.locator("#details")
    expect(details.locator(".facts")).to_contain_text(f"600{TIMES}400, PNG")
    expect(details.locator(".facts")).to_contain_text("Processed1\u00a0time")
    pictures = details.locator(".renditions tbody img")
    expect(pictures).to_have_count(10)
    for at in range(10):
        pictures.nth(at).scroll_into_view_if_needed()
        expect(pictures.nth(at)).to_have_js_property("complete", True)
        assert pictures.nth(at).evaluate("(img) => img.decode().then(() => img.naturalWidth)") > 0
    page.get_by_role("button", name="copy.jpg").click()
    expect(page.locator("#details-name")).to_have_text("copy.jpg")
    expect(page).to_have_title("copy.jpg · Image processor")
    page.get_by_role("button", name="coffee.png").click()
    expect(page.locator("#details-name")).to_have_text("coffee.png")
    expect(page).to_have_title("coffee.png · Image processor")
    page.get_by_role("button", name="Show them in the library").click()
    expect(page.locator(".near")).to_contain_text("Images that look like coffee.png")
    expect(page).to_have_title("Image processor")
    expect(page.locator(".card")).to_have_count(2)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_image_is_zoomed_into_its_original(open_page: Open, coffee: Site, width: int) -> None:
    page = open_page(f"/#{ID}", width=width)
    picture = page.locator(".sheet-of-image")
    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()
    whole = box_of(page, picture)
    page.get_by_role("button", name="Zoom in").click()
    expect(page.locator(".sheet-of-image > .original.loaded")).to_be_visible()
    zoomed = box_of(page, picture)
    assert zoomed["width"] == pytest.approx(1.5 * whole["width"], rel=0.01)
    x, y = zoomed["x"] + zoomed["width"] / 2, zoomed["y"] + zoomed["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20)
    page.mouse.up()
    moved = box_of(page, picture)
    assert (moved["x"] - zoomed["x"], moved["y"] - zoomed["y"]) == pytest.approx((30, 20), abs=1)
    page.get_by_role("button", name="Show the whole image").click()
    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()
    assert box_of(page, picture) == whole
    picture.dblclick()
    expect(page.locator(".stage.zoomed")).to_be_visible()
    assert coffee.api.get(f"/images/{ID}").json()["focal_point"] is None, "zooming sets no focus"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_click_sets_the_focus_and_undo_takes_it_back(open_page: Open, coffee: Site, width: int) -> None:
    page = open_page(f"/#{ID}", width=width)
    hold_timers(page)
    salient = coffee.api.get(f"/images/{ID}").json()["focus"]
    page.get_by_role("button", name="Set focus").click()
    picture = page.locator(".sheet-of-image")
    box = box_of(page, picture)
    picture.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.75})
    expect(page.locator("#toast")).to_contain_text("coffee.png is rendered again with its new focus.")
    wait_for_focus(page, coffee, [0.25, 0.75])
    expect_marker(page, [0.25, 0.75])
    expect(page.locator(".facts")).to_contain_text("25\u00a0% from the left, 75\u00a0% from the top")
    expect(page.locator(".crops img").first).to_have_css("object-position", "0% 50%")
    page.get_by_role("button", name="Undo").click()
    expect_marker(page, salient)

    page.get_by_role("button", name="Arrows move it").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    moved = [salient[0] + 0.02, salient[1] - 0.01]
    expect_marker(page, moved)
    wait_for_focus(page, coffee, moved)
    expect(page.locator("#details-name")).to_have_text("coffee.png")
    page.get_by_role("button", name="Remove focus").click()
    expect_marker(page, salient)
    wait_for_focus(page, coffee, None)
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".crops")).to_have_count(0)


def hold_requests(page: Page, method: str, pattern: str) -> list[Route]:
    """Requests of this method wait, and are appended to the list."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == method:
            held.append(route)
        else:
            route.fallback()

    page.route(pattern, hold)
    return held


def test_a_focus_stays_shown_while_older_records_arrive(open_page: Open, coffee: Site) -> None:
    page = open_page(f"/#{ID}")
    salient = coffee.api.get(f"/images/{ID}").json()["focus"]
    coffee.api.put(f"/images/{ID}/focus", json={"x": 0.25, "y": 0.75}).raise_for_status()
    expect(page.locator(".facts")).to_contain_text("25\u00a0% from the left, 75\u00a0% from the top")
    page.get_by_role("button", name="Set focus").click()
    held = hold_requests(page, "DELETE", f"**/images/{ID}/focus")
    page.get_by_role("button", name="Remove focus").click()
    expect_marker(page, salient)
    # The removal is on its way; the record that the page reads meanwhile does not know of it.
    again = coffee.api.post(f"/images/{ID}/reprocess", headers={"prefer": "wait=30"}).json()
    assert again["focal_point"] == [0.25, 0.75]
    expect(page.locator(".facts")).to_contain_text(f"Processed{again['revision']}\u00a0times")
    expect_marker(page, salient)
    page.get_by_role("button", name="Arrows move it").press("ArrowRight")
    expect_marker(page, [salient[0] + 0.01, salient[1]])
    held[0].continue_()
    wait_for_focus(page, coffee, [salient[0] + 0.01, salient[1]])
    # What somebody else sets later is shown.
    coffee.api.put(f"/images/{ID}/focus", json={"x": 0.9, "y": 0.1}).raise_for_status()
    expect_marker(page, [0.9, 0.1])


def test_undo_of_a_focus_takes_all_its_steps_back(open_page: Open, coffee: Site) -> None:
    coffee.api.put(f"/images/{ID}/focus", json={"x": 0.3, "y": 0.3}).raise_for_status()
    page = open_page(f"/#{ID}")
    hold_timers(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.method} {request.post_data}"))
    page.get_by_role("button", name="Set focus").click()
    marker = page.get_by_role("button", name="Arrows move it")
    for _ in range(3):
        marker.press("ArrowDown")
    expect_marker(page, [0.3, 0.33])
    page.get_by_role("button", name="Undo").click()
    expect_marker(page, [0.3, 0.3])
    wait_for_focus(page, coffee, [0.3, 0.3])
    points = [json.loads(item.removeprefix("PUT ")) for item in sent if item.startswith("PUT")]
    assert points[-1] == {"x": 0.3, "y": 0.3}
    assert points[-2] == {"x": 0.3, "y": 0.33}


def test_a_removed_focus_is_not_set_by_an_earlier_step(open_page: Open, coffee: Site) -> None:
    coffee.api.put(f"/images/{ID}/focus", json={"x": 0.3, "y": 0.3}).raise_for_status()
    page = open_page(f"/#{ID}")
    page.clock.install()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_role("button", name="Set focus").click()
    page.get_by_role("button", name="Arrows move it").press("ArrowDown")
    page.get_by_role("button", name="Remove focus").click()
    wait_for_focus(page, coffee, None)
    page.clock.run_for(5000)
    assert [method for method in sent if method != "GET"] == ["DELETE"]
    assert focus_of(coffee) is None


@pytest.mark.usefixtures("coffee")
@pytest.mark.parametrize("width", WIDTHS)
def test_an_original_is_downloaded_and_replaced(open_page: Open, width: int) -> None:
    page = open_page(f"/#{ID}", width=width)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "coffee.png"
    assert Path(download.value.path()).read_bytes() == COFFEE
    chosen = {"name": "other.png", "mimeType": "image/png", "buffer": png(30, 20)}
    page.get_by_label("Another file for this image").set_input_files([chosen])
    expect(page.locator(".facts")).to_contain_text(f"30{TIMES}20, PNG")
    page.route(
        "**/uploads/**",
        lambda route: route.fulfill(status=412, json={"code": "precondition-failed", "detail": "no"}),
    )
    page.get_by_label("Another file for this image").set_input_files([chosen])
    expect(page.locator("#toast")).to_contain_text("was replaced by somebody else meanwhile.")


def test_the_page_has_a_budget() -> None:
    """All its files, those of pages that are loaded later too, compressed."""
    web = Path(image_processor.__file__).parent / "web"
    files = [file for file in web.rglob("*") if file.is_file()]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) < 250_000
