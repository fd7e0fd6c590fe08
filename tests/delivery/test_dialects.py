"""Dialects on the read path: which URL is whose, what it opens, and that only what is enabled is loaded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from image_processor.delivery.dialects import NAMES, enabled
from image_processor.delivery.policy import Policy
from image_processor.delivery.wanted import Get, Reader, Wanted
from image_processor.errors import SignatureMissing
from image_processor.model import Facts
from image_processor.recipes import parse_recipe
from image_processor.settings import Settings
from image_processor.settings.readers import DIALECTS
from image_processor.wiring.delivery import dialects_of

RECIPE = parse_recipe("""
[presets.card]
width = 300
height = 200
enlarge = true
formats = ["webp"]
[[rules]]
match = "**"
presets = ["card"]
""")
ORIGINAL = Facts(800, 600, "jpeg", 1, False, 1, "")


def read(path: str, query: str = "", names: Sequence[str] = NAMES, **more: Any) -> Wanted:
    policy = Policy(
        dialects=enabled(names, secrets={}, unsafe=True, **more), unsigned=more.get("open", False)
    )
    return Reader(RECIPE, policy, lambda _: ORIGINAL, lambda: 0.0).read(Get("GET", path, query))


def test_a_url_that_means_a_preset_is_the_stored_file() -> None:
    wanted = read("unsafe/300x200/filters:format(webp)/photos/cat.jpg")
    assert wanted.stored_key == "photos/cat.jpg/w=300,h=200,enlarge=1,fm=webp.webp"
    assert wanted.declared


def test_without_a_signature_nothing_else_is_opened() -> None:
    with pytest.raises(SignatureMissing):
        read("unsafe/301x200/filters:format(webp)/photos/cat.jpg")


def test_what_depends_on_the_original_is_settled() -> None:
    policy = Policy(dialects=enabled(NAMES, secrets={}, unsafe=True), unsigned=True)
    reader = Reader(RECIPE, policy, lambda _: ORIGINAL, lambda: 0.0)
    for text, name in (
        ("300xorig", "~w=300,h=600,enlarge=1,fm=jpeg.jpg"),
        ("adaptive-fit-in/100x200", "~w=200,h=100,fit=inside,fm=jpeg.jpg"),
        ("100x100/filters:focal(0x0:400x300)", "~w=100,h=100,fp=0.25:0.25,enlarge=1,fm=jpeg.jpg"),
    ):
        assert reader.read(Get("GET", f"unsafe/{text}/a.jpg")).stored_key == f"a.jpg/{name}"


def test_our_own_urls_stay_ours() -> None:
    stored = "photos/cat.jpg/w=300,h=200,enlarge=1,fm=webp.webp"
    assert read(stored).stored_key == stored
    assert read("photos/cat.jpg", "w=300&h=200&enlarge=1&fm=webp").stored_key == stored


def test_settings_enable_them() -> None:
    assert DIALECTS == NAMES
    assert dialects_of(Settings()) == ()
    settings = Settings(dialects=NAMES, thumbor_key="k", buckets=("b",), dialect_lenient=True)
    assert [one.name for one in dialects_of(settings)] == list(NAMES)
    assert (
        dialects_of(settings)[0]
        == enabled(["thumbor"], secrets={"thumbor": b"k"}, buckets=frozenset({"b"}), lenient=True)[0]
    )


def test_an_unknown_one_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="imgix"):
        enabled(["imgix"], secrets={})


def test_only_what_is_enabled_is_loaded() -> None:
    script = (
        "import sys; from image_processor.delivery.dialects import enabled; enabled([], secrets={});"
        "import image_processor.delivery.wanted;"
        "print([name for name in sys.modules if '.dialects.' in name])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
