"""Chromium, for all tests that open a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

AXE = Path(__file__).parents[2] / "studio" / "node_modules" / "axe-core" / "axe.min.js"
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first shows no windows, which no test needs, and takes two thirds of the CPU."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium. Skips where there is none, except in CI."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        missing = "Chromium is not installed: THE PAGE WAS NOT TESTED (apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield launched
        launched.close()


def axe_script() -> str:
    """axe-core, from the studio's tools. Skips where they are not installed, except in CI."""
    if not AXE.exists():
        message = "axe is not installed: run `npm ci` in studio"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return AXE.read_text("utf-8")


def violations(page: Page) -> list[str]:
    """What axe finds in the page, which has run its script: a rule and the element, one a line."""
    return _violations(page, {})


def _violations(page: Page, options: Mapping[str, object]) -> list[str]:
    found: list[str] = page.evaluate(_RUN_AXE, dict(options))
    return found


# What passes is not described in full: half of axe's work.
_RUN_AXE = """async (options) =>
    (await axe.run({ resultTypes: ["violations"], ...options })).violations
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`))"""
# axe's category of colours, but for what WCAG asks for at level AAA.
_OF_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def violations_in_both_schemes(page: Page) -> list[str]:
    """What axe finds in the page in light colours, and what it finds about colours in dark ones."""
    with _in_dark(page):
        found = [f"dark: {finding}" for finding in _violations(page, _OF_COLOURS)]
    return [f"light: {finding}" for finding in violations(page)] + found


def in_both_schemes(page: Page, find: Callable[[Page], list[str]]) -> list[str]:
    """What ``find`` finds in the page in light and in dark colours."""
    with _in_dark(page):
        found = [f"dark: {finding}" for finding in find(page)]
    return [f"light: {finding}" for finding in find(page)] + found


@contextmanager
def _in_dark(page: Page) -> Iterator[None]:
    """The page in dark colours without loading it again. Raises playwright's TimeoutError where it has no
    others than in light."""
    light = page.evaluate(f"({_COLOURS})()")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({_COLOURS})() !== light", arg=light)
    page.evaluate(_REST)
    yield
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"(light) => ({_COLOURS})() === light", arg=light)
    page.evaluate(_REST)


_COLOURS = """() => {
    const { color, backgroundColor } = getComputedStyle(document.body);
    return `${color} on ${backgroundColor}`;
}"""
_REST = """() => Promise.allSettled(document.getAnimations()
    .filter((animation) => animation instanceof CSSTransition).map((animation) => animation.finished))"""
