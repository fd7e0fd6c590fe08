"""The library under work: many files, failures, keys, and a page below a path."""

from __future__ import annotations

import io
import re
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Page, Route, expect
from serving import Site
from timers import hold_timers, run_held_timers
from transfers import drop
from windows import Open

from image_processor.domain.keys import image_id
from support.waiting import wait_for


def png(width: int = 8, height: int = 8, colour: tuple[int, ...] = (200, 90, 40)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def delete_held(page: Page, file: Path) -> None:
    """Let the time pass in which a deletion can be undone. The page's timers are held."""
    assert file.exists()
    run_held_timers(page)
    wait_for(lambda: not file.exists(), f"the deletion of {file.name}")


def card(page: Page, key: str):
    return page.locator(f'.card[data-key="{key}"]')


def fake_image(number: int) -> dict[str, object]:
    key = f"{number:06}.jpg"
    return {
        "id": image_id("uploads", key),
        "bucket": "uploads",
        "original": key,
        "status": "processed",
        "renditions": [],
        "facts": {"width": 4, "height": 3, "bytes": 9, "format": "jpeg", "frames": 1, "alpha": False},
    }


def test_many_files_need_few_requests_few_cards_and_one_summary(page: Page) -> None:
    page.evaluate(
        """() => {
            window.shift = 0;
            new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => window.shift += value))
                .observe({ type: "layout-shift", buffered: true });
        }"""
    )
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    files = [(f"notes/{number:03}.txt", b"words %d" % number) for number in range(149)]
    drop(page, ("first.png", png()), *files)
    expect(page.locator("#tray")).to_contain_text("Adding 150\u00a0files")
    expect(page.locator("#toast")).to_contain_text(
        "1\u00a0image is ready, 149\u00a0images were refused.", timeout=120_000
    )
    expect(page.locator("#state-text")).to_have_text("Up to date")
    expect(page.locator("#tray")).to_have_count(0)
    expect(card(page, "first.png")).to_have_attribute("data-status", "processed")
    assert page.locator(".card").count() < 60
    assert len([url for url in requests if "/images?" in url]) < 60
    assert not [url for url in requests if "/images/" in url]
    assert page.evaluate("window.shift") < 0.1


def test_a_card_never_goes_back_from_done_to_in_work(page: Page, site: Site) -> None:
    page.evaluate(
        """() => {
            window.states = [];
            new MutationObserver(() => {
                const state = document.querySelector(".card")?.dataset.status;
                if (state && state !== window.states.at(-1)) window.states.push(state);
            }).observe(document.body, { subtree: true, childList: true, attributes: true });
        }"""
    )
    drop(page, ("a.png", png(64, 64)))
    expect(card(page, "a.png").locator(".picture.loaded")).to_be_visible()
    site.api.post("/images", json={"key": "a.png"})
    with page.expect_response(re.compile(r"/images\?.*ids=")):  # the page has seen the end of it
        site.api.post(f"/images/{image_id('uploads', 'a.png')}/reprocess").raise_for_status()
    expect(page.locator("#state-text")).to_have_text("Up to date")
    states = page.evaluate("window.states")
    assert states[-1] == "processed"
    assert states.count("processed") == 1


def test_a_failed_upload_is_retried_or_dismissed(page: Page) -> None:
    page.route("**/uploads/*.png", lambda route: route.abort())
    drop(page, ("a.png", png()), ("b.png", png()))
    for key in ("a.png", "b.png"):
        expect(card(page, key)).to_contain_text("The connection was lost.")
    expect(page.locator("#toast")).to_contain_text("2\u00a0images were not added.")
    page.unroute("**/uploads/*.png")
    page.get_by_role("button", name="Dismiss b.png").click()
    expect(card(page, "b.png")).to_have_count(0)
    page.get_by_role("button", name="Retry a.png").click()
    expect(card(page, "a.png")).to_have_attribute("data-status", "processed")


def test_uploads_pause_and_resume(page: Page, site: Site) -> None:
    held: list[Route] = []
    page.route("**/uploads/*.png", lambda route: held.append(route))  # noqa: PLW0108 - a builtin is no handler
    drop(page, *((f"{number}.png", png()) for number in range(6)))
    expect(page.locator(".card")).to_have_count(6)
    while len(held) < (sent := 3):  # so many at once
        page.wait_for_timeout(20)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#tray")).to_contain_text("Paused")
    for route in held:
        route.continue_()
    page.unroute("**/uploads/*.png")
    expect(page.locator('.card[data-status="processed"]')).to_have_count(sent)
    assert sum(entry.suffix == ".png" for entry in (site.data / "uploads").iterdir()) == sent
    page.get_by_role("button", name="Resume").click()
    expect(page.locator('.card[data-status="processed"]')).to_have_count(6)


def test_a_refused_image_is_deleted_from_its_card(page: Page, site: Site) -> None:
    drop(page, ("notes.txt", b"words"))
    expect(card(page, "notes.txt")).to_contain_text("Send a JPEG, PNG")
    hold_timers(page)
    page.get_by_role("button", name="Delete notes.txt").click()
    expect(page.locator("#empty")).to_be_visible()
    delete_held(page, site.data / "uploads" / "notes.txt")


def test_a_transparent_image_is_shown_whole_on_a_checkerboard(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})  # a square crop would be the smallest that fits
    drop(page, ("logo.png", png(300, 200, (200, 0, 0, 0))), ("photo.png", png(300, 200)))
    for key, is_transparent in (("logo.png", True), ("photo.png", False)):
        picture = card(page, key).locator(".picture.loaded")
        expect(picture).to_be_visible()
        background = picture.evaluate("(picture) => getComputedStyle(picture).backgroundImage")
        assert ("gradient" in background) is is_transparent
    shown = card(page, "logo.png").locator("img").evaluate("(img) => img.currentSrc")
    assert not shown.partition("?")[0].endswith(".jpg")
    assert "h=200" not in shown


def test_a_large_library_draws_what_is_in_the_window(page: Page) -> None:
    def listing(route: Route) -> None:
        start = int(re.search(r"cursor=(\d+)", route.request.url + "&cursor=0")[1])  # type: ignore[index]
        images = [fake_image(number) for number in range(start, start + 100)]
        route.fulfill(json={"images": images, "cursor": str(start + 100) if start < 900 else None})

    page.route("**/images?*", listing)
    page.reload()
    expect(page.locator(".card")).not_to_have_count(0)
    last = card(page, "000999.jpg")
    while not last.count():
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(30)
    expect(last).to_be_visible()
    assert page.locator(".card").count() < 80


def test_what_cannot_be_loaded_is_loaded_by_another_try(page: Page) -> None:
    def listing(route: Route) -> None:
        if "cursor=" in route.request.url:
            route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "not now"}')
        else:
            route.fulfill(json={"images": [fake_image(0)], "cursor": "1"})

    page.route("**/images?*", listing)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("not now")
    page.unroute("**/images?*")
    page.route("**/images?*", lambda route: route.fulfill(json={"images": [fake_image(1)], "cursor": None}))
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".card")).to_have_count(2)


def test_new_images_do_not_move_what_the_user_looks_at(page: Page, site: Site) -> None:
    drop(page, ("a.png", png()))
    expect(card(page, "a.png")).to_have_attribute("data-status", "processed")
    card(page, "a.png").hover()
    site.put("b.png", png())
    site.put("c.png", png())
    page.get_by_role("button", name="Show 2\u00a0new images").click()
    expect(page.locator(".card")).to_have_count(3)
    page.mouse.move(0, 0)
    site.put("d.png", png())
    expect(page.locator(".card")).to_have_count(4)


def test_keys_move_in_the_grid_and_in_the_dialog_and_search(page: Page, site: Site) -> None:
    site.put_all({f"{number}.png": png() for number in range(3)})
    page.reload()
    expect(page.locator(".card")).to_have_count(3)
    page.locator(".card .open").first.focus()
    names = page.locator(".card").evaluate_all("(cards) => cards.map((card) => card.dataset.key)")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    expect(card(page, names[2]).locator(".open")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(card(page, names[1]).locator(".open")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#details-name")).to_have_text(names[1])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#details-name")).to_have_text(names[2])
    expect(page.get_by_role("button", name="Next image")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_have_count(0)
    expect(card(page, names[2]).locator(".open")).to_be_focused()
    page.keyboard.type("2")
    expect(page.get_by_placeholder("Search by name")).to_have_value("2")
    expect(page.locator(".card")).to_have_count(1)


def test_messages_are_in_the_topmost_dialog(open_page: Open, site: Site) -> None:
    id_ = site.put("a.png", png())
    page = open_page(f"/#{id_}")
    page.get_by_role("button", name="Render again").click()
    expect(page.locator("#details #toast")).to_contain_text("a.png is ready")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("main ~ #toast")).to_contain_text("a.png deleted.")
    expect(page.locator("#toast")).to_have_count(1)


def test_the_page_works_below_a_path(page: Page) -> None:
    outside: list[str] = []

    def strip(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith("/deep/studio/"):
            route.continue_(url=route.request.url.replace("/deep/studio/", "/", 1))
        else:
            outside.append(path)
            route.abort()

    page.goto("about:blank")  # or a request of the page at the root is seen too
    page.route("**/*", strip)
    page.goto("/deep/studio/")
    expect(page.locator("#directory")).to_contain_text("uploads")
    drop(page, ("a.png", png(64, 64)))
    expect(card(page, "a.png").locator(".picture.loaded")).to_be_visible()
    card(page, "a.png").locator("a").click()
    link = page.locator(".renditions a").first.get_attribute("href")
    assert link is not None
    assert link.startswith("/deep/studio/renditions/")
    assert outside == []
