"""docs/learn/private-library.md: its commands, its album in a browser, and both functions that sign."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from tutorial import ROOT, Tutorial

from image_processor.bootstrap.delivery import build_policy
from image_processor.config.recipe import DEFAULT_RECIPE, parse_recipe
from image_processor.config.settings import from_environment
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.domain.models import ImageMetadata

EXAMPLE = ROOT / "examples" / "private-library"
ORIGINAL = ImageMetadata(4000, 3000, "jpeg", 1, False, 1, "")
KEY = "a:a-secret-of-a-test-that-is-long"


def test_a_library_opens_by_signatures_only(
    tutorial: Callable[..., Tutorial], page: Page, picture: Callable[[str], None]
) -> None:
    followed = tutorial("private-library")
    followed.follow(until="second=")
    address = followed.address(8080)
    page.goto(address.replace("//", "//album:correct-horse@"))
    page.wait_for_function("document.querySelector('img').naturalWidth > 0")
    shown = page.evaluate("document.querySelector('img').currentSrc")
    assert shown.startswith(f"{followed.address(8000)}/renditions/family/cat.jpg?w=320&fm=avif&")
    picture("private-library")
    followed.follow()
    assert sorted(path.name for path in followed.example.iterdir() if path.name != "__pycache__") == [
        "README.md",
        "album.py",
        "recipe.toml",
        "sign.mjs",
        "sign.py",
    ]


@pytest.mark.parametrize("program", [[sys.executable, "sign.py"], ["node", "sign.mjs"]])
def test_the_functions_of_the_example_sign_any_key(program: list[str]) -> None:
    key = 'fotos/Käse & "Brot"+100%.jpg'
    parameters = ("w=320", "h=200", "duo=001040:ffe0c0", "fm=webp")
    signed = subprocess.run(
        [*program, key, "600", *parameters],
        cwd=EXAMPLE,
        env={**os.environ, "IMGP_SIGNING_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    policy = build_policy(from_environment({"IMAGE_PROCESSOR_SIGNING_KEYS": KEY}))
    resolver = RequestResolver(parse_recipe(DEFAULT_RECIPE), policy, lambda _: ORIGINAL, lambda: 0.0)
    path, _, query = signed.stdout.strip().partition("?")
    resolved = resolver.resolve(HttpRequest("GET", path, query))
    assert resolved.stored_key == f"{key}/~{','.join(parameters)}.webp"
