"""Lighthouse on the two pages of docs/learn/responsive-images.md. `npm ci` in the example installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tutorials"))
from tutorial import ROOT, Tutorial

MODULES = ROOT / "examples" / "responsive-images" / "node_modules"
FAILS_BEFORE = ("Properly sized", "Explicit width and height")


def test_the_page_passes_and_the_page_before_does_not(tmp_path: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not MODULES.is_dir() or chromium is None:
        pytest.skip("LIGHTHOUSE WAS NOT RUN: npm ci --prefix examples/responsive-images, and Chromium")
    followed = Tutorial(tmp_path, "responsive-images")
    try:
        followed.follow(until="kill %1")
        (followed.example / "node_modules").symlink_to(MODULES)
        pages = [f"{followed.address(8080)}/before.html", f"{followed.address(8080)}/"]
        done = subprocess.run(
            ["node", "audit.mjs", *pages],
            cwd=followed.example,
            env={**os.environ, "CHROME_PATH": chromium},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        followed.close()
    before, after = done.stdout.split(pages[1] + "\n")
    assert [title for title in FAILS_BEFORE if f"FAIL {title}" not in before] == []
    assert "FAIL" not in after
    assert after.count("pass ") == 9
    assert done.returncode == 0, done.stdout + done.stderr
