"""Markup for page authors: well-formed, safely escaped, with URLs that open the image."""

from __future__ import annotations

import base64
import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from domain_strategies import KEYS
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from image_processor.config.recipe import DEFAULT_RECIPE, Recipe, parse_recipe
from image_processor.delivery.markup.html import ALT, Markup, MarkupOptions, render_markup
from image_processor.delivery.markup.srcset import WidthSpec
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RequestResolver
from image_processor.delivery.url.builder import UrlBuilder, check_base_url
from image_processor.delivery.url.signing import Keyring
from image_processor.domain.errors import Invalid, Reason, Refused
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status, VisualSummary

RECIPE = parse_recipe(DEFAULT_RECIPE)
PRIVATE = parse_recipe(DEFAULT_RECIPE.replace("widths = [", "public = false\nwidths = ["))
RING = Keyring({"a": b"a secret of sixteen"})
ORIGINAL = ImageMetadata(1500, 1000, "jpeg", 1, False, 1, "")
LOOK = VisualSummary("#7a8a5c", "1QcSHQRnh493V4dIh4eXh1h4kJUI", "0" * 16)
SHORT = KEYS.filter(lambda key: rendition_prefix(key) == f"{key}/")
"""A longer key appears in the path as a digest only."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)


def record_of(key: str, recipe: Recipe = RECIPE, original: ImageMetadata = ORIGINAL) -> Record:
    """A record whose renditions have the requested widths, but are no wider than the original."""

    def rendition(wanted: Any) -> Rendition:
        width = min(wanted.width, original.width)
        height = wanted.height or round(width * original.height / original.width)
        facts = replace(original, width=width, height=height, format=wanted.format)
        return Rendition(
            rendition_prefix(key) + recipe.stored_name(key, wanted), str(wanted), facts, "version"
        )

    result = tuple(map(rendition, recipe.transformations_for(key)))
    return Record(
        "id", "bucket", key, NOW, NOW, Status.PROCESSED, original=original, summary=LOOK, renditions=result
    )


def marked(
    key: str = "cat.jpg",
    *,
    recipe: Recipe = RECIPE,
    original: ImageMetadata = ORIGINAL,
    base: str = "/renditions",
    wish: MarkupOptions = MarkupOptions(),  # noqa: B008 - frozen
    **policy: Any,
) -> Markup:
    return render_markup(
        record_of(key, recipe, original), wish, UrlBuilder(base, key, recipe, Policy(keyring=RING, **policy))
    )


class Elements(HTMLParser):
    """The tags of a text with their attributes; everything else is collected in ``other``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.other: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.other += [data] if data.strip() else []

    handle_comment = handle_decl = unknown_decl = handle_pi = handle_data


def candidates(srcset: str) -> list[tuple[str, int]]:
    """As in HTML, "parse a srcset attribute": words, and no comma at the end of a URL."""
    found = []
    for part in srcset.split(", "):
        url, width = part.split(" ")
        assert not url.startswith(",")
        assert not url.endswith(",")
        found.append((url, int(width.removesuffix("w"))))
    return found


def opened(url: str, recipe: Recipe = RECIPE, accept: str = "", **policy: Any) -> tuple[str, str]:
    """The original and the transformation that ``url`` resolves to."""
    parts = urlsplit(url)
    reader = RequestResolver(recipe, Policy(keyring=RING, **policy), lambda _: ORIGINAL, NOW.timestamp)
    path = parts.path.removeprefix("/renditions/")
    resolved = reader.resolve(HttpRequest("GET", path, parts.query, {"accept": accept}))
    return resolved.key, str(resolved.transformation)


def css_urls(css: str) -> list[str]:
    """Every string of a `url()`, unescaped ("CSS Syntax Module", consume an escaped code point)."""
    strings = re.findall(r'url\("((?:[^"\\\n]|\\[0-9a-f]{1,6} )*)"\)', css)
    assert len(strings) == css.count("url(")
    return [re.sub(r"\\([0-9a-f]{1,6}) ", lambda match: chr(int(match[1], 16)), string) for string in strings]


def steps_of(loader: str) -> list[list[Any]]:
    line = re.search(r"^const steps = (.*);$", loader, re.MULTILINE)
    assert line
    steps: list[list[Any]] = json.loads(line[1])
    return steps


@given(
    SHORT,
    LINES,
    LINES,
    st.sampled_from([WidthSpec(), WidthSpec("thumbnail"), WidthSpec(widths=(100, 333, 2000))]),
)
def test_any_key_and_text_give_one_tag_with_valid_urls(
    key: str, sizes: str, alt: str, rungs: WidthSpec
) -> None:
    result = marked(key, wish=MarkupOptions(rungs, sizes, alt))
    page = Elements(f"{result.img}{result.picture}")
    assert page.other == []
    assert [tag for tag, _ in page.found] == [
        "img",
        "picture",
        *["source"] * (len(page.found) - 3),
        "img",
    ]
    for tag, attributes in page.found:
        if tag == "picture":
            continue
        assert attributes["sizes"] == sizes
        media_type = attributes.get("type", "image/jpeg")
        for url, width in candidates(attributes["srcset"]):
            found, transformation = opened(url)
            assert found == key
            assert transformation.endswith(f"fm={media_type.removeprefix('image/')}")
            assert width <= ORIGINAL.width
    image = page.found[0][1]
    assert image["alt"] == alt
    assert opened(image["src"])[0] == key
    assert page.found[-1] == page.found[0]


@given(SHORT, st.sampled_from([RECIPE, PRIVATE]))
def test_css_and_javascript_contain_only_valid_urls(key: str, recipe: Recipe) -> None:
    result = marked(key, recipe=recipe, wish=MarkupOptions(WidthSpec("responsive")))
    assert {opened(url, recipe)[0] for url in css_urls(result.css)} == {key}
    assert result.css.count("{") == result.css.count("}") == 1
    assert result.loader is not None
    assert "<" not in result.css + result.loader
    steps = steps_of(result.loader)
    assert [step for step, _ in steps] == [320, 640, 1280, 1920]
    for step, reported in steps:
        url = f"/renditions/x.jpg?{reported}" if recipe is RECIPE else reported
        expected = "x.jpg" if recipe is RECIPE else key
        assert opened(url, recipe, "image/avif") == (expected, f"w={step},fm=avif")
        assert opened(url, recipe, "image/webp") == (expected, f"w={step},fm=jpeg")


def test_a_base_url_is_validated() -> None:
    for base in (
        '/a"b',
        "https://x.example/<",
        "javascript:alert(1)",
        "/a?b",
        "/a b",
        "https://",
        "//",
        "///a",
        "/ä",
    ):
        with pytest.raises(Invalid, match="for base"):
            marked_at(base)
    assert marked_at("https://img.example/a/").img.startswith('<img src="https://img.example/a/cat.jpg/')
    assert marked_at("").img.startswith('<img src="/cat.jpg/')
    assert marked_at("//img.example").img.startswith('<img src="//img.example/cat.jpg/')


def test_only_slashes_are_taken_from_the_end_of_a_base_url() -> None:
    assert check_base_url("https://img.example/X//") == "https://img.example/X"


def test_an_unvalidated_base_url_is_still_escaped() -> None:
    base = '/a"b\\<c>ä'
    result = marked(base=base)
    assert all(url.startswith(f"{base}/cat.jpg/") for url in css_urls(result.css))
    assert "<" not in result.css
    assert [tag for tag, _ in Elements(result.img).found] == ["img"]
    assert result.loader is not None
    assert f"const base = {json.dumps(base)[:-1]}".replace("<", "\\u003c") in result.loader


def marked_at(base: str) -> Markup:
    return marked(base=check_base_url(base))


def test_renditions_of_long_keys_have_plain_paths() -> None:
    key = "a/" + "x" * 800
    result = marked(key)
    (url, _), *_ = candidates(Elements(result.img).found[0][1]["srcset"])
    assert url == f"/renditions/{rendition_prefix(key)}w=320,fm=jpeg.jpg"


def test_a_preset_gives_each_stored_width_once() -> None:
    result = marked(wish=MarkupOptions(alt="A cat"))
    (_, image), *_ = Elements(result.img).found
    root = "/renditions/cat.jpg"
    assert candidates(image["srcset"]) == [
        (f"{root}/w=320,fm=jpeg.jpg", 320),
        (f"{root}/w=640,fm=jpeg.jpg", 640),
        (f"{root}/w=1280,fm=jpeg.jpg", 1280),
        (f"{root}/w=1920,fm=jpeg.jpg", 1500),
    ]
    assert (image["src"], image["width"], image["height"]) == (f"{root}/w=1920,fm=jpeg.jpg", "1500", "1000")
    assert (result.width, result.height, result.left_out) == (1500, 1000, ())
    _, (_, source), _ = Elements(result.picture).found
    assert (source["type"], len(candidates(source["srcset"]))) == ("image/avif", 4)
    small = marked(original=replace(ORIGINAL, width=300, height=200))
    assert candidates(Elements(small.img).found[0][1]["srcset"]) == [(f"{root}/w=320,fm=jpeg.jpg", 300)]


def test_the_public_preset_with_most_widths_is_the_default() -> None:
    assert "w=1280" in marked().img
    assert "w=200,h=200" in marked(wish=MarkupOptions(WidthSpec("thumbnail"))).img
    assert "w=200,h=200" in marked(recipe=PRIVATE).img
    with pytest.raises(Invalid, match="expected one of thumbnail, responsive for preset, got 'none'"):
        marked(wish=MarkupOptions(WidthSpec("none")))


def test_undeclared_widths_are_signed_and_not_enlarged() -> None:
    result = marked(wish=MarkupOptions(WidthSpec(widths=(2000, 320, 641, 3000))))
    shown = candidates(Elements(result.img).found[0][1]["srcset"])
    assert [width for _, width in shown] == [320, 641, 1500]
    assert ["s=" in url for url, _ in shown] == [False, True, True]
    types = [attributes["type"] for tag, attributes in Elements(result.picture).found if tag == "source"]
    assert types == ["image/avif", "image/webp"]
    assert result.loader is not None
    assert [opened(url, accept="image/webp") for _, url in steps_of(result.loader)] == [
        ("cat.jpg", f"w={width},fm=webp") for width in (320, 641, 2000)
    ]


def test_without_a_key_signed_widths_are_left_out() -> None:
    result = marked_without_key(RECIPE, WidthSpec(widths=(320, 641)))
    assert [width for _, width in candidates(Elements(result.img).found[0][1]["srcset"])] == [320]
    (reported,) = result.left_out
    assert reported == (
        "w=320,fm=webp, w=641,fm=avif, w=641,fm=webp, w=641,fm=jpeg: "
        "expected a signing key in IMAGE_PROCESSOR_SIGNING_KEYS, got none"
    )
    assert result.loader is None
    with pytest.raises(Invalid, match="expected one that can be opened for widths"):
        marked_without_key(RECIPE, WidthSpec(widths=(641,)))
    with pytest.raises(Invalid, match="expected a signing key"):
        marked_without_key(PRIVATE, WidthSpec("responsive"))
    open_to_all = render_markup(
        record_of("cat.jpg"),
        MarkupOptions(WidthSpec(widths=(641,))),
        UrlBuilder("/renditions", "cat.jpg", RECIPE, Policy(allow_unsigned=True)),
    )
    assert "/renditions/cat.jpg?w=641&amp;fm=jpeg 641w" in open_to_all.img


def marked_without_key(recipe: Recipe, rungs: WidthSpec) -> Markup:
    return render_markup(
        record_of("cat.jpg", recipe),
        MarkupOptions(rungs),
        UrlBuilder("/renditions", "cat.jpg", recipe, Policy()),
    )


def test_widths_outside_the_policy_are_left_out() -> None:
    result = marked(wish=MarkupOptions(WidthSpec(widths=(500, 641))), sizes=frozenset({500}))
    assert "500w" in result.img
    assert "641w" not in result.img
    assert "expected one of 500 for width, got 641" in result.left_out[0]


def test_renditions_not_made_yet_are_left_out() -> None:
    record = record_of("cat.jpg")
    fewer = replace(record, renditions=record.renditions[:-2])
    result = render_markup(fewer, MarkupOptions(), UrlBuilder("/renditions", "cat.jpg", RECIPE, Policy()))
    assert result.left_out == ("w=1920,fm=avif, w=1920,fm=jpeg: not made yet",)


def test_renditions_of_lazy_presets_are_listed_before_they_are_made() -> None:
    lazy = replace(RECIPE, lazy=frozenset({"responsive"}))
    record = replace(record_of("cat.jpg"), renditions=())
    urls = UrlBuilder("/renditions", "cat.jpg", lazy, Policy())
    assert render_markup(record, MarkupOptions(), urls) == marked()
    padded = parse_recipe("""
[presets.p]
width = 10
padding = [1]
formats = ["jpeg", "webp"]
eager = false
[presets.q]
width = 20
formats = ["jpeg"]
eager = false
[[rules]]
match = "**"
presets = ["p", "q"]
""")
    with pytest.raises(Invalid, match="w=10,pad=1,fm=webp: not made yet"):
        render_markup(
            record,
            MarkupOptions(WidthSpec("p")),
            UrlBuilder("/renditions", "cat.jpg", padded, Policy()),
        )


@pytest.mark.parametrize(
    ("facts", "types"),
    [
        (replace(ORIGINAL, alpha=True, format="png"), ["avif", "webp", "png"]),
        (replace(ORIGINAL, frames=9, format="gif"), ["webp", "gif"]),
        (replace(ORIGINAL, format="svg", width=10, height=10), ["avif", "webp", "jpeg"]),
    ],
)
def test_formats_preserve_animation_and_transparency(facts: ImageMetadata, types: list[str]) -> None:
    result = marked(original=facts, wish=MarkupOptions(WidthSpec(widths=(100, 200))))
    found = [attributes for tag, attributes in Elements(result.picture).found if tag != "picture"]
    last = found[-1]["src"]
    assert [each["type"].removeprefix("image/") for each in found[:-1]] == types[:-1]
    assert f"fm={types[-1]}" in last
    assert "200w" in found[-1]["srcset"]


def test_the_placeholder_has_the_aspect_ratio_of_the_image() -> None:
    result = marked()
    assert result.placeholder is not None
    assert len(result.placeholder) < 500
    head, _, body = result.placeholder.partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(body)))
    assert (head, picture.format, picture.size) == ("data:image/png;base64", "PNG", (10, 7))
    assert picture.mode == "RGB"
    assert result.placeholder in Elements(result.img).found[0][1]["style"]


def test_transparent_images_have_no_background_placeholder() -> None:
    result = marked(original=replace(ORIGINAL, alpha=True, format="png"))
    assert result.placeholder is not None
    assert "data:" not in result.img
    assert "background-color" not in result.css


def test_an_invalid_thumbhash_becomes_the_dominant_colour() -> None:
    for wrong in ("aGFzaA==", "?", ""):
        record = replace(record_of("cat.jpg"), summary=replace(LOOK, thumbhash=wrong))
        uri = render_markup(record, MarkupOptions(), UrlBuilder("", "cat.jpg", RECIPE, Policy())).placeholder
        assert uri is not None
        picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
        assert picture.size == (1, 1)
        found = picture.tobytes()
        assert max(abs(one - other) for one, other in zip(found, (0x7A, 0x8A, 0x5C), strict=True)) <= 2


def test_without_a_visual_summary_there_is_no_placeholder() -> None:
    record = replace(record_of("cat.jpg"), summary=None)
    result = render_markup(record, MarkupOptions(), UrlBuilder("", "cat.jpg", RECIPE, Policy()))
    assert result.placeholder is None
    assert "background" not in result.img
    assert ALT in result.img


def test_the_densities_are_those_of_one_width() -> None:
    css = marked().css
    assert re.findall(r"([0-9.]+)x[,\n]", css) == ["1.707", "2"] * 2
    assert css.index("image/avif") < css.index("image/jpeg")


def test_markup_of_unprocessed_and_refused_images_raises() -> None:
    record = record_of("cat.jpg")
    urls = UrlBuilder("", "cat.jpg", RECIPE, Policy())
    refused = replace(record, status=Status.REFUSED, reason=Reason.CORRUPT, message="no", original=None)
    with pytest.raises(Refused, match="no"):
        render_markup(refused, MarkupOptions(), urls)
    begun = replace(record, status=Status.PROCESSING, original=None, summary=None, renditions=())
    with pytest.raises(Invalid, match="one that is processed for the image, got 'processing'"):
        render_markup(begun, MarkupOptions(), urls)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (lambda: MarkupOptions(sizes="a\nb"), "for sizes"),
        (lambda: MarkupOptions(alt="a" * 501), "for alt"),
        (lambda: WidthSpec(widths=(0,)), "at most 32 of 1-16383 for widths"),
        (lambda: WidthSpec(widths=tuple(range(1, 40))), "at most 32"),
        (lambda: WidthSpec("responsive", (10,)), "a preset, widths or a transformation"),
    ],
)
def test_invalid_markup_options_are_reported(wish: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        wish()
