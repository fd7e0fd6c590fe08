"""What the page may cost: the work of its main thread, in processor time, and what it asks the server for.

Time of the wall would judge the machine. `Performance.getMetrics` with thread ticks counts the processor's
time on the main thread, which others on the machine hardly change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import CDPSession, Page, Request, Route, expect
from serving import Site
from test_library import card, fake_image, png
from transfers import drop_from_disk
from windows import Open

FIRST_VIEW_SECONDS = 1.0
FRAME_SECONDS = 0.016
IMAGES = 2000
FRAMES = 60
PIXELS_A_FRAME = 120
FILES = 60
MAX_CARDS = 80
MANY_FILES = 4000
"""Twice as many as the page promises to take: what grows with their number is seen."""
TASK_MILLISECONDS = 40
"""Of the processor. Where browser, server and sender share two cores, a task takes several times as long."""
TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline", "blink.user_timing"]
HANDING_OVER = {"dragenter", "dragover", "drop", "change"}


def measuring(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


def seconds_of(session: CDPSession, *names: str) -> float:
    metrics = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    return float(sum(metrics[name] for name in names))


def test_the_first_view_takes_less_than_a_second_of_the_main_thread(open_page: Open, site: Site) -> None:
    """From the request of the page until its first pictures are shown, of a library of 40 images."""
    site.put_all({f"{number:02}.png": png(40, 30, (number, 90, 40)) for number in range(40)})
    page = open_page()
    page.goto("about:blank")
    session = measuring(page)
    before = seconds_of(session, "TaskDuration")
    page.goto("/")
    expect(page.locator(".card .picture.loaded").nth(3)).to_be_visible()
    spent = seconds_of(session, "TaskDuration") - before
    assert 0 < spent < FIRST_VIEW_SECONDS


@contextmanager
def longest_task(page: Page) -> Iterator[list[float]]:
    """At its end the list has the processor time of the page's longest task, in milliseconds. Of a task in
    which the browser hands over files only the page's part counts: the browser has made all files before."""
    assert page.context.browser is not None
    session = page.context.browser.new_browser_cdp_session()
    events: list[dict[str, Any]] = []
    ended: list[bool] = []
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: ended.append(True))
    categories = {"includedCategories": TRACED, "excludedCategories": ["*"]}
    session.send("Tracing.start", {"traceConfig": categories, "transferMode": "ReportEvents"})
    page.evaluate("performance.mark('the-page')")
    found: list[float] = []
    yield found
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(20)
    # The browser has pages of its own, in other processes.
    (thread,) = {(event["pid"], event["tid"]) for event in events if event["name"] == "the-page"}
    own = [event for event in events if (event["pid"], event["tid"]) == thread and "tdur" in event]
    given = [
        event
        for event in own
        if event["name"] == "EventDispatch" and event["args"]["data"]["type"] in HANDING_OVER
    ]
    tasks = [event for event in own if event["name"] == "RunTask"]
    found.append(max(max(parts_of(task, given), default=task["tdur"]) for task in tasks) / 1000)


def parts_of(task: dict[str, Any], events: list[dict[str, Any]]) -> list[float]:
    return [event["tdur"] for event in events if 0 <= event["ts"] - task["ts"] < task["dur"]]


def add_many(page: Page, way: str, folder: Path) -> None:
    if way == "choose a folder":
        page.locator("#folder").set_input_files(folder)
    else:
        drop_from_disk(page, *(folder.iterdir() if way == "drop files" else [folder]))


@pytest.mark.parametrize("way", ["drop a folder", "drop files", "choose a folder"])
def test_no_task_is_long_while_many_files_are_added_and_stopped(page: Page, tmp_path: Path, way: str) -> None:
    folder = tmp_path / "dropped"
    folder.mkdir()
    for number in range(MANY_FILES):
        (folder / f"{number:04}.txt").write_bytes(b"words %d" % number)
    expect(page.locator("#empty")).to_be_visible()
    with longest_task(page) as found:
        add_many(page, way, folder)
        expect(page.locator("#tray")).to_contain_text(f"Adding {MANY_FILES:,}\u00a0files")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#tray")).to_contain_text(f"of {MANY_FILES:,}\u00a0files added")
    assert 0 < found[0] < TASK_MILLISECONDS
    expect(page.get_by_role("button", name=re.compile(r"Retry [\d,]+ files"))).to_be_visible()


def test_a_frame_of_scrolling_leaves_time_at_60_a_second(page: Page) -> None:
    """Scripts, styles and layout of a frame; no more cards than fit the window, however many there are."""

    def listing(route: Route) -> None:
        start = int(re.search(r"cursor=(\d+)", route.request.url + "&cursor=0")[1])  # type: ignore[index]
        images = [fake_image(number) for number in range(start, start + 100)]
        end = start + 100
        route.fulfill(json={"images": images, "cursor": str(end) if end < IMAGES else None, "total": IMAGES})

    page.route("**/images?*", listing)
    page.reload()
    last = card(page, f"{IMAGES - 1:06}.jpg")
    while not last.count():
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(30)
    session = measuring(page)
    work = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    before = seconds_of(session, *work)
    page.evaluate(
        """([frames, pixels]) => new Promise((done) => {
            scrollTo(0, document.documentElement.scrollHeight / 2);
            const step = () => {
                scrollBy(0, pixels);
                --frames ? requestAnimationFrame(step) : done();
            };
            requestAnimationFrame(step);
        })""",
        [FRAMES, PIXELS_A_FRAME],
    )
    spent = seconds_of(session, *work) - before
    assert 0 < spent / FRAMES < FRAME_SECONDS
    assert 0 < page.locator(".card").count() < MAX_CARDS


def kind_of(request: Request) -> str:
    url = urlsplit(request.url)
    if url.path.startswith(("/uploads/", "/renditions/")):
        return f"{request.method} /{url.path.split('/')[1]}"
    return f"{request.method} {url.path}"


def test_adding_files_asks_for_little_more_than_the_uploads(page: Page, tmp_path: Path) -> None:
    """Beside one request for each file: a picture for each card that is seen, and records of many at once."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}.png").write_bytes(png(40, 30, (number, 40, 90)))
    expect(page.locator("#empty")).to_be_visible()
    asked: Counter[str] = Counter()
    page.on("request", lambda request: asked.update([kind_of(request)]))
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#toast")).to_contain_text(f"{FILES}\u00a0images are ready", timeout=120_000)
    expect(page.locator("#state-text")).to_have_text("Up to date")
    drawn = page.locator(".card").count()
    assert asked.pop("PUT /uploads") == FILES
    assert asked.pop("GET /renditions") <= drawn
    assert asked.pop("GET /images") < FILES / 2
    assert asked.pop("GET /folders", 0) <= 4
    assert not asked
