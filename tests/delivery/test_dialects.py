"""Dialects on the read path: which dialect parses a URL, and that only enabled ones are loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from image_processor.bootstrap.delivery import build_dialects
from image_processor.config.recipe import parse_recipe
from image_processor.config.setting_specs import DIALECTS
from image_processor.config.settings import Settings
from image_processor.delivery.dialects import DialectOptions, dialect_of, load_dialects
from image_processor.delivery.dialects.cloudflare import Cloudflare
from image_processor.delivery.dialects.cloudflare.dialect import OPTIONS as CLOUDFLARE_OPTIONS
from image_processor.delivery.dialects.cloudinary import Cloudinary
from image_processor.delivery.dialects.cloudinary import components as cloudinary_components
from image_processor.delivery.dialects.cloudinary.effects import EFFECTS as CLOUDINARY_EFFECTS
from image_processor.delivery.dialects.cloudinary.encoding import IGNORED_FLAGS as CLOUDINARY_FLAGS
from image_processor.delivery.dialects.cloudinary.operations import MODES as CLOUDINARY_MODES
from image_processor.delivery.dialects.dit import Dit
from image_processor.delivery.dialects.dit import edits as dit_edits
from image_processor.delivery.dialects.dit import path as dit_path
from image_processor.delivery.dialects.dit import tone as dit_tone
from image_processor.delivery.dialects.dit.dialect import ERROR_CODES
from image_processor.delivery.dialects.imgix import Imgix
from image_processor.delivery.dialects.imgproxy import Imgproxy
from image_processor.delivery.dialects.imgproxy import options as imgproxy_options
from image_processor.delivery.dialects.platforms import Netlify, NextImage, VercelImage
from image_processor.delivery.dialects.thumbor import Thumbor
from image_processor.delivery.dialects.thumbor import filters as thumbor_filters
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RenditionRef, RequestResolver
from image_processor.domain.errors import SignatureMissing
from image_processor.domain.models import ImageMetadata

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
NAMES = tuple(DIALECTS)
PLATFORM_PARAMETERS = ("url", "w", "h", "q", "fit", "position", "fm")
CLOUDINARY_PARAMETERS = {f"{name}_" for name in (*cloudinary_components.ACTIONS, "l", "t", "bl", "if")}
ORIGINAL = ImageMetadata(800, 600, "jpeg", 1, False, 1, "")


def read(path: str, query: str = "", names: Sequence[str] = NAMES, **policy: Any) -> RenditionRef:
    dialects = load_dialects(names, {}, DialectOptions(unsafe=True))
    resolver = RequestResolver(RECIPE, Policy(dialects=dialects, **policy), lambda _: ORIGINAL, lambda: 0.0)
    return resolver.resolve(HttpRequest("GET", path, query))


def test_a_dialect_url_equal_to_a_preset_is_the_stored_file() -> None:
    expected = read("unsafe/300x200/filters:format(webp)/photos/cat.jpg")
    assert expected.stored_key == "photos/cat.jpg/w=300,h=200,enlarge=1,fm=webp.webp"
    assert expected.declared


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("unsafe/300x200/filters:format(webp)/photos/cat.jpg", "", "thumbor"),
        ("300x200/filters:format(webp)/photos/cat.jpg", "", "dit"),
        ("photos/cat.jpg", "width=300&height=200&format=webp", "dit"),
        ("insecure/rs:fill:300:200:1/plain/photos/cat.jpg@webp", "", "imgproxy"),
        ("_/pr:card/plain/photos/cat.jpg", "", "imgproxy"),
        ("cdn-cgi/image/w=300,h=200,fit=cover,f=webp/photos/cat.jpg", "", "cloudflare"),
        ("demo/image/upload/c_fill,h_200,w_300/f_webp/v12/photos/cat.jpg", "", "cloudinary"),
        ("photos/cat.jpg", "w=300&h=200&fit=crop&fm=webp", "imgix"),
        ("photos/cat.jpg", "w=300&h=200&enlarge=1&fm=webp", None),
    ],
)
def test_equivalent_dialect_urls_share_one_stored_rendition(path: str, query: str, name: str | None) -> None:
    reader = RequestResolver(
        RECIPE,
        Policy(dialects=load_dialects(NAMES, {}, DialectOptions(unsafe=True))),
        lambda _: ORIGINAL,
        lambda: 0.0,
    )
    get = HttpRequest("GET", path, query)
    dialect = reader.dialect_of(get)
    assert (dialect.name if dialect else None) == name
    assert reader.resolve(get).stored_key == "photos/cat.jpg/w=300,h=200,enlarge=1,fm=webp.webp"


def test_the_document_lists_all_supported_operations() -> None:
    text = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text(encoding="utf-8")
    thumbor, rest = text.partition("## thumbor")[2].split("## DIT")
    dit, rest = rest.split("## imgproxy")
    imgproxy, rest = rest.split("## Cloudflare\n")
    cloudflare, rest = rest.split("## Cloudinary\n")
    cloudinary, platforms = rest.split("## Next.js, Vercel and Netlify\n")
    understood = (
        (thumbor, thumbor_filters.FILTERS),
        (dit, {*dit_path.FILTERS, *dit_edits.EDITS, *dit_tone.OPERATIONS, *dit_path.QUERY_PARAMETERS}),
        (cloudflare, CLOUDFLARE_OPTIONS),
        (platforms, PLATFORM_PARAMETERS),
        (cloudinary, {*CLOUDINARY_MODES, *CLOUDINARY_EFFECTS, *CLOUDINARY_FLAGS, *CLOUDINARY_PARAMETERS}),
        (imgproxy, {*imgproxy_options.OPTIONS, *imgproxy_options.LONG_NAMES.values()}),
    )
    british = {"greyscale", "normalise", "quality"}
    for part, names in understood:
        assert [
            name
            for name in names
            if not re.search(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z])", part) and name not in british
        ] == []
    for code in ERROR_CODES.values():
        assert f"`{code}`" in dit


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("unsafe/30x20/a.jpg", ""),
        ("30x20/a.jpg", ""),
        ("a.jpg", "width=30"),
        ("_/rs:fill:30:20/plain/a.jpg", ""),
        ("demo/image/upload/w_30/a.jpg", ""),
    ],
)
def test_a_setting_chooses_the_format_of_urls_without_one(path: str, query: str) -> None:
    dialects = load_dialects(NAMES, {}, DialectOptions(unsafe=True))
    get = HttpRequest("GET", path, query, {"accept": "image/avif,image/webp,*/*"})
    for auto, format_, vary in ((False, "jpeg", ()), (True, "avif", ("Accept",))):
        policy = Policy(dialects=dialects, allow_unsigned=True, dialect_auto=auto)
        ref = RequestResolver(RECIPE, policy, lambda _: ORIGINAL, lambda: 0.0).resolve(get)
        assert ref.transformation is not None
        assert (ref.transformation.format, ref.vary) == (format_, vary)


def test_next_urls_of_a_lazy_preset_are_public() -> None:
    """The recipe of docs/migrating.md: no signature is needed for the widths that it declares."""
    recipe = parse_recipe(
        '[presets.next]\nwidths = [640, 1080]\nquality = 75\nformats = ["avif", "webp", "jpeg"]\n'
        "eager = false\n"
        '[[rules]]\nmatch = "**"\npresets = ["next"]\n'
    )
    policy = Policy(dialects=load_dialects(("next",), {}, DialectOptions()))
    resolver = RequestResolver(recipe, policy, lambda _: ORIGINAL, lambda: 0.0)

    def ask(width: int, accept: str) -> RenditionRef:
        query = f"url=%2Fphotos%2Fcat.jpg&w={width}&q=75"
        return resolver.resolve(HttpRequest("GET", "_next/image", query, {"accept": accept}))

    assert ask(640, "image/avif,image/webp,*/*").stored_key == "photos/cat.jpg/w=640,q=75,fm=avif.avif"
    assert ask(1080, "image/webp,*/*").stored_key == "photos/cat.jpg/w=1080,q=75,fm=webp.webp"
    plain = ask(640, "*/*")
    assert (plain.stored_key, plain.vary) == ("photos/cat.jpg/w=640,fm=jpeg.jpg", ("Accept",))
    assert plain.lazy
    with pytest.raises(SignatureMissing):
        ask(750, "*/*")


def test_dialect_urls_need_a_signature() -> None:
    with pytest.raises(SignatureMissing):
        read("unsafe/301x200/filters:format(webp)/photos/cat.jpg")


def test_sizing_rules_are_resolved_with_the_original() -> None:
    policy = Policy(dialects=load_dialects(NAMES, {}, DialectOptions(unsafe=True)), allow_unsigned=True)
    reader = RequestResolver(RECIPE, policy, lambda _: ORIGINAL, lambda: 0.0)
    for text, name in (
        ("300xorig", "~w=300,h=600,enlarge=1,fm=jpeg.jpg"),
        ("adaptive-fit-in/100x200", "~w=200,h=100,fit=inside,fm=jpeg.jpg"),
        ("100x100/filters:focal(0x0:400x300)", "~w=100,h=100,fp=0.25:0.25,enlarge=1,fm=jpeg.jpg"),
    ):
        assert reader.resolve(HttpRequest("GET", f"unsafe/{text}/a.jpg")).stored_key == f"a.jpg/{name}"


def test_own_urls_are_not_parsed_by_dialects() -> None:
    stored = "photos/cat.jpg/w=300,h=200,enlarge=1,fm=webp.webp"
    assert read(stored).stored_key == stored
    assert read("photos/cat.jpg", "w=300&h=200&enlarge=1&fm=webp").stored_key == stored


def test_settings_enable_dialects() -> None:
    assert build_dialects(Settings()) == ()
    settings = Settings(
        dialects=NAMES,
        dialect_settings={
            "thumbor_key": "t",
            "dit_secret": "d",
            "imgproxy_key": b"k",
            "imgproxy_salt": b"s",
            "imgproxy_signature_bytes": 8,
            "imgix_tokens": ("i",),
        },
        buckets=("b",),
        dialect_lenient=True,
    )
    assert [one.name for one in build_dialects(settings)] == list(NAMES)
    buckets = frozenset({"b"})
    assert build_dialects(settings) == (
        Thumbor(b"t", lenient=True, buckets=buckets),
        Dit(b"d", lenient=True, buckets=buckets),
        Imgproxy(b"k", b"s", 8, lenient=True, buckets=buckets),
        Imgix(("i",), lenient=True, buckets=buckets),
        Cloudflare(lenient=True, buckets=buckets),
        Cloudinary(lenient=True, buckets=buckets),
        NextImage(DIALECTS["next"].settings[0].default, lenient=True, buckets=buckets),
        VercelImage(lenient=True, buckets=buckets),
        Netlify(lenient=True, buckets=buckets),
    )


def test_an_unknown_dialect_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        load_dialects(["nobody"], {}, DialectOptions())


def test_only_what_is_enabled_is_loaded() -> None:
    script = (
        "import sys; from image_processor.delivery.dialects import DialectOptions, load_dialects;"
        "load_dialects([], {}, DialectOptions());"
        "import image_processor.delivery.resolver;"
        "print([name for name in sys.modules if '.dialects.' in name])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ORDERS = [order[at:] + order[:at] for order in (NAMES, NAMES[::-1]) for at in range(len(NAMES))]
"""Each pair of dialects in both orders."""


@pytest.mark.parametrize("names", ORDERS)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("unsafe/rs:fill:300:200/plain/a.jpg", "imgproxy"),
        ("unsafe/plain/a.jpg@webp", "imgproxy"),
        ("unsafe/w:300/YS5qcGc", "imgproxy"),
        ("unsafe/300x200/a.jpg", "thumbor"),
        ("unsafe/-300x/smart/a.jpg", "thumbor"),
        ("unsafe/fit-in/300x200/filters:blur(3)/a.jpg", "thumbor"),
        ("unsafe/filters:quality(3)/plain/a.jpg", "thumbor"),
        ("unsafe/photos/a.jpg", "thumbor"),
        ("fit-in/300x200/a.jpg", "dit"),
        ("300x200/filters:blur(3)/a.jpg", "dit"),
        ("eyJrZXkiOiJhLmpwZyJ9", "dit"),
        ("cdn-cgi/image/w=30/a.jpg", "cloudflare"),
        ("demo/image/upload/w_30/a.jpg", "cloudinary"),
        ("_next/image", "next"),
        ("_vercel/image", "vercel"),
        (".netlify/images", "netlify"),
    ],
)
def test_the_shape_of_a_url_tells_its_dialect_whatever_the_order(
    names: Sequence[str], path: str, name: str
) -> None:
    dialects = load_dialects(names, {}, DialectOptions(unsafe=True))
    dialect = dialect_of(dialects, path, "")
    assert dialect is not None
    assert dialect.name == name
