"""The studio under bulk: 2,000 files against the server alone, and scrolling through 100,000 images.

`python -m benchmarks.studio [FILES]`, or a part of `make bench`. The server's own time is measured in the
same run, before the page's. While the files are added, the page itself records its longest task, how much its
layout shifts, and how many cards move. It runs in Chromium without a graphics card, so scrolling is judged by
the time of its main thread: scripts, styles and layout of one frame, of which 60 a second leave 16.7 ms.
"""

from __future__ import annotations

import http.client
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import CDPSession, Page, sync_playwright

from .delivery import servers
from .table import Row

_FILES = 2000
_IMAGES = 100_000
_POLLING = 250
"""Milliseconds between two looks at the page."""
_AT_ONCE = 3
"""As many uploads as the page sends at a time."""
_FRAMES = 300
_PIXELS_A_FRAME = 120
"""7,200 pixels a second, at 60 frames."""
_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_LIST_ALL = """({ images, page }) => {
    const real = window.fetch;
    const image = (number) => ({
        id: `i${number}`, bucket: "uploads", original: `folder/${String(number).padStart(6, "0")}.jpg`,
        status: "processed", reason: null, message: null, fix: null, created_at: "2026-01-01T00:00:00Z",
        facts: { width: 1600, height: 1200, bytes: 9e5, format: "jpeg", frames: 1, alpha: false, sha256: "" },
        dominant_colour: "#886644", thumbhash: "1QcSHQRnh493V4dIh4eXh1h4kJUI", focus: [0.5, 0.4], saving: 0.7,
        focal_point: null,
        renditions: [{ key: "k", url: `/static/icon.svg?v=${number}`, transformation: "w=320,fm=jpeg",
            width: 320, height: 240, bytes: 9000, format: "jpeg", media_type: "image/svg+xml", frames: 1,
            alpha: false, sha256: "" }],
    });
    window.fetch = async (input, options) => {
        const url = new URL(String(input), location.href);
        if (url.pathname !== "/images") return real(input, options);
        const start = Number(url.searchParams.get("cursor") ?? 0);
        const end = Math.min(images, start + page);
        const found = Array.from({ length: end - start }, (_, at) => image(start + at));
        const body = { images: found, cursor: end < images ? String(end) : null, total: images };
        return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
    };
}"""


_WATCH = """() => {
    window.seen = { task: 0, shift: 0, moved: 0 };
    const observe = (type, add) =>
        new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ type, buffered: true });
    observe("longtask", ({ duration }) => (seen.task = Math.max(seen.task, duration)));
    observe("layout-shift", ({ value }) => (seen.shift += value));
    const places = new Map();
    new MutationObserver(() => {
        for (const card of document.querySelectorAll(".card")) {
            const { key } = card.dataset;
            const place = card.style.transform;
            if (places.has(key) && places.get(key) !== place) seen.moved++;
            places.set(key, place);
        }
    }).observe(document.body, { subtree: true, childList: true });
}"""
"""Shorter tasks than 50 ms are none for `longtask`."""


def rows(files: int = _FILES) -> list[Row]:
    return [*_files(files), _scrolling()]


@contextmanager
def _page(url: str, script: str | None = None) -> Iterator[Page]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise FileNotFoundError("expected chromium or google-chrome in PATH, got none")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        if script:
            page.add_init_script(script)
        page.goto(url)
        yield page
        browser.close()


def _files(count: int) -> list[Row]:
    """Small pictures, all different: the page has more work with them than the server."""
    bodies = [_picture(number) for number in range(count)]
    alone = _seconds_alone(bodies)
    with tempfile.TemporaryDirectory() as name, servers.ours(Path(name), recipe_text=None) as server:
        folder = Path(name) / "dropped"
        folder.mkdir()
        for number, body in enumerate(bodies):
            (folder / f"{number:05}.png").write_bytes(body)
        with _page(f"http://127.0.0.1:{server.port}/") as page:
            page.locator("#empty").wait_for()
            page.evaluate(_WATCH)
            started = time.perf_counter()
            _drop(page, folder)
            page.locator(".card").first.wait_for()
            # Asked in each frame, the page would draw each frame.
            page.wait_for_function(
                "() => document.querySelector('#state-text')?.textContent === 'Up to date'",
                timeout=3_600_000,
                polling=_POLLING,
            )
            shown = time.perf_counter() - started
            seen = page.evaluate("window.seen")
    title = f"{count:,} files through the page"
    return [
        Row(title, f"{shown:.1f} s", f"{alone:.1f} s alone", shown / alone, 1.2),
        Row(f"{title}, longest task", f"{seen['task']:.0f} ms", "", seen["task"], 200, " ms"),
        Row(f"{title}, layout shift", f"{seen['shift']:.3f}", "", seen["shift"], 0.1),
        Row(f"{title}, cards that moved", str(seen["moved"]), "", seen["moved"], 0),
    ]


def _drop(page: Page, folder: Path) -> None:
    """As a file manager does: a chosen folder's files are all made by the browser in one task."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})


def _seconds_alone(bodies: list[bytes]) -> float:
    """The same files from a program that sends as many at a time as the page does."""
    with tempfile.TemporaryDirectory() as name, servers.ours(Path(name), recipe_text=None) as server:
        started = time.perf_counter()
        with ThreadPoolExecutor(_AT_ONCE) as senders:
            list(senders.map(lambda pair: _put(server, *pair), enumerate(bodies)))
        servers.wait_until_idle(server)
        return time.perf_counter() - started


def _put(server: servers.Server, number: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("PUT", f"/uploads/{number:05}.png", body)
    response = connection.getresponse()
    response.read()
    connection.close()
    if response.status not in {200, 201}:
        raise RuntimeError(f"expected 201 for an upload, got {response.status}")


def _picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (number % 256, number // 256 % 256, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def _scrolling() -> Row:
    with tempfile.TemporaryDirectory() as name, servers.ours(Path(name), recipe_text=None) as server:
        script = f"({_LIST_ALL})({{ images: {_IMAGES}, page: 1000 }})"
        with _page(f"http://127.0.0.1:{server.port}/", script) as page:
            page.locator(".card").first.wait_for()
            _load_all(page)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            before = _main_thread(session)
            page.evaluate(
                """([frames, pixels]) => new Promise((resolve) => {
                    scrollTo(0, document.documentElement.scrollHeight / 2);
                    const step = () => {
                        scrollBy(0, pixels);
                        --frames ? requestAnimationFrame(step) : resolve();
                    };
                    requestAnimationFrame(step);
                })""",
                [_FRAMES, _PIXELS_A_FRAME],
            )
            used = 1000 * (_main_thread(session) - before) / _FRAMES
            cards = page.locator(".card").count()
    return Row(
        f"scrolling {_IMAGES:,} images, a frame", f"{used:.1f} ms", f"{cards} cards drawn", used, 16.7, " ms"
    )


def _load_all(page: Page) -> None:
    """Scroll to the end until everything is loaded, as a user would who holds the key End."""
    page.evaluate(
        """(images) => new Promise((resolve) => {
            const step = () => {
                scrollTo(0, document.documentElement.scrollHeight);
                const last = document.querySelector(`.card[data-index="${images - 1}"]`);
                last ? resolve() : setTimeout(step, 10);
            };
            step();
        })""",
        _IMAGES,
    )


def _main_thread(session: CDPSession) -> float:
    """Seconds of processor time that the main thread of the page has worked."""
    found: dict[str, Any] = session.send("Performance.getMetrics")
    metrics = {metric["name"]: metric["value"] for metric in found["metrics"]}
    return float(metrics["ScriptDuration"] + metrics["LayoutDuration"] + metrics["RecalcStyleDuration"])


if __name__ == "__main__":
    print(*rows(*map(int, sys.argv[1:])), sep="\n")
