"""Takes the pictures of the studio in docs/studio: a real server, a real browser, light and dark.

`make screenshots` runs it. The photos come from the test package scikit-image. Fonts and browsers differ
between machines, so no test compares pixels; tests/test_docs.py checks that each picture is small and shown.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import skimage
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

OUTPUT = Path(__file__).with_name("studio")
PHOTOS = Path(skimage.__file__).parent / "data"
SIZE: ViewportSize = {"width": 1280, "height": 800}
SCHEMES = ("light", "dark")
QUALITY = 62

# What is uploaded: the key, and the file of the package. The last one is shown first.
UPLOADS = (
    ("textures/gravel.png", "gravel.png"),
    ("textures/brick.png", "brick.png"),
    ("textures/grass.png", "grass.png"),
    ("science/retina.jpg", "retina.jpg"),
    ("science/moon.png", "moon.png"),
    ("logo.png", "logo.png"),
    ("notes.txt", "README.txt"),
    ("street/motorcycle.png", "motorcycle_left.png"),
    ("space/deep-field.jpg", "hubble_deep_field.jpg"),
    ("science/tissue.png", "ihc.png"),
    ("space/rocket.jpg", "rocket.jpg"),
    ("portraits/astronaut.png", "astronaut.png"),
    ("kitchen/coffee.png", "coffee.png"),
    ("portraits/chelsea.png", "chelsea.png"),
)
TRANSFORMATION = "w=640,h=420,g=attention,sat=25,sharp=1:0.8,round=24,fm=webp"


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as url,
        httpx.Client(base_url=url, timeout=60) as api,
        sync_playwright() as playwright,
    ):
        ids = {key: upload(api, key, (PHOTOS / name).read_bytes()) for key, name in UPLOADS}
        wait_until_idle(api)
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in SCHEMES:
            for name, picture in draw(browser, url, ids, scheme):
                save(f"{name}-{scheme}", picture)
        browser.close()


def draw(browser: Browser, url: str, ids: dict[str, str], scheme: Any) -> Iterator[tuple[str, bytes]]:
    """The pictures of one colour scheme by name."""
    page = browser.new_context(base_url=url, viewport=SIZE, color_scheme=scheme).new_page()
    page.goto("/")
    settle(page)
    yield "library", page.screenshot()
    page.goto(f"/#{ids['portraits/chelsea.png']}")
    page.locator("#details .picture.loaded").first.wait_for()
    settle(page)
    yield "image", page.screenshot()
    page.goto("/")
    page.goto(f"/#{ids['kitchen/coffee.png']}/{TRANSFORMATION}")
    page.locator("#against").select_option("avif")
    page.locator(".comparison .before").wait_for()
    settle(page)
    yield "playground", page.screenshot()
    yield from draw_pages(page)
    page.context.close()


def draw_pages(page: Page) -> Iterator[tuple[str, bytes]]:
    """The pictures of what is beside the library."""
    page.goto("/#/recipe")
    page.reload()
    recipe = page.locator("#recipe-text")
    recipe.fill(recipe.input_value().replace("640, ", "640, 960, "))
    page.locator("#changes strong").wait_for()
    page.locator("#recipe-title").click()
    yield "recipe", page.screenshot()
    page.goto("/#/server")
    page.locator("#storage dt").first.wait_for()
    yield "server", page.screenshot()
    page.goto("/docs#get_urls")
    page.locator("#get_urls").wait_for()
    yield "api", page.screenshot()


def settle(page: Page) -> None:
    """Wait until nothing loads or moves any more."""
    page.locator(".card .picture.loaded").nth(5).wait_for()
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(1500)


def save(name: str, picture: bytes) -> None:
    OUTPUT.mkdir(exist_ok=True)
    file = OUTPUT / f"{name}.webp"
    Image.open(io.BytesIO(picture)).convert("RGB").save(file, quality=QUALITY, method=6)
    print(f"wrote {file.name}: {file.stat().st_size // 1000} kB")


def upload(api: httpx.Client, key: str, body: bytes) -> str:
    """Store an original; returns its id."""
    id_: str = api.put(f"/uploads/{key}", content=body).raise_for_status().json()["id"]
    return id_


def wait_until_idle(api: httpx.Client) -> None:
    while api.get("/health").raise_for_status().json()["backlog"]:
        time.sleep(0.2)


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """A server, and its address."""
    command = [sys.executable, "-m", "image_processor", "serve", "--data", str(data), "--port", "0"]
    environment = {**os.environ, "IMAGE_PROCESSOR_SIGNING_KEYS": "a:a-key-for-the-pictures"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
        server.terminate()


def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("expected Chromium, got none: apt-get install chromium")
    return found


if __name__ == "__main__":
    main()
