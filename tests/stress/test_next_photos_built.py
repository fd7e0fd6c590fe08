"""docs/learn/next-photos.md with Next.js, which takes minutes. `npm ci` in the example installs it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tutorials"))
import tutorial
from tutorial import PAGES, ROOT, Tutorial

MODULES = ROOT / "examples" / "next-photos" / "node_modules"
WAIT = 60_000


def test_visitors_add_photos_to_the_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not MODULES.is_dir() or chromium is None:
        pytest.skip("NEXT.JS WAS NOT BUILT: npm ci --prefix examples/next-photos, and Chromium")
    monkeypatch.setattr(tutorial, "WAIT_SECONDS", 900)
    followed = Tutorial(tmp_path, "next-photos")
    try:
        # Turbopack refuses modules outside the project, so they are not linked.
        shutil.copytree(MODULES, followed.example / "node_modules", symlinks=True, copy_function=os.link)
        followed.follow(until="kill %1")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 760, "height": 460})
            page.set_default_timeout(WAIT)
            page.goto(followed.address(3000))
            expect(page.locator("main img")).to_have_count(1, timeout=WAIT)
            (followed.example / "fake.jpg").write_text("not an image")
            page.set_input_files("#file", followed.example / "fake.jpg")
            expect(page.get_by_role("status")).to_contain_text("expected", timeout=WAIT)
            page.set_input_files("#file", followed.example / "cat.jpg")
            expect(page.get_by_role("status")).to_have_text("ready", timeout=WAIT)
            expect(page.locator("main img")).to_have_count(2, timeout=WAIT)
            page.wait_for_function("[...document.images].every(image => image.naturalWidth > 0)")
            shown = page.evaluate("[...document.images].map(image => image.currentSrc)")
            assert all(source.startswith(f"{followed.address(8000)}/renditions/photos/") for source in shown)
            assert all(source.endswith("&fm=auto") for source in shown)
            if os.environ.get("PICTURES"):
                page.screenshot(path=tmp_path / "picture.png")
                with Image.open(tmp_path / "picture.png") as picture:
                    picture.save(PAGES / "next-photos.webp", quality=62)
            browser.close()
        followed.follow()
    finally:
        followed.close()
