"""thumbor URLs: the documented examples, each part, and unsigned URLs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from image_processor.config.recipe import parse_recipe
from image_processor.delivery.dialects.filter_syntax import FilterCall, parse_filters
from image_processor.delivery.dialects.thumbor import Thumbor
from image_processor.delivery.policy import Policy
from image_processor.delivery.request import RenditionRequest, SizingRule
from image_processor.delivery.resolve import resolve
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import (
    BucketNotAllowed,
    Forbidden,
    Invalid,
    InvalidRequest,
    SignatureKeyUnknown,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    Colour,
    Fit,
    Flip,
    Gravity,
    ImageOverlay,
    RelativeLength,
    Transformation,
)

KEY = b"my-security-key"
OPEN = Thumbor(unsafe=True, buckets=frozenset({"photos"}))
SIGNED = Thumbor(KEY)
COVER = {"fit": Fit.COVER, "enlarge": True}
NO_FORMATS: Any = MappingProxyType({})
INSIDE = {"fit": Fit.INSIDE, "enlarge": False}


def ask(text: str, dialect: Thumbor = OPEN) -> RenditionRequest:
    asked = dialect.parse(f"unsafe/{text}", "", now=0)
    assert asked.source_formats == {"tiff": "png"}
    return replace(asked, source_formats=NO_FORMATS)


def final(text: str, width: int = 400, height: int = 300) -> str:
    """The canonical text for an opaque JPEG original of this size."""
    original = ImageMetadata(width, height, "jpeg", 1, False, 1, "")
    recipe = parse_recipe('[presets.p]\nwidth = 1\n[[rules]]\nmatch = "no"\npresets = ["p"]\n')
    return str(resolve(ask(text), original, {}, recipe, Policy()).transformation).removesuffix(",fm=jpeg")


def sign(text: str, key: bytes = KEY) -> str:
    return base64.urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()


def problems(text: str, dialect: Thumbor = OPEN) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        ask(text, dialect)
    return [str(each) for each in caught.value.problems]


def test_only_the_documented_signature_is_accepted() -> None:
    path = "300x200/my.server.com/some/path/to/image.jpg"
    asked = SIGNED.parse(f"8ammJH8D-7tXy6kU3lTvoXlhu4o=/{path}", "", now=0)
    assert replace(asked, source_formats=NO_FORMATS) == RenditionRequest(
        "my.server.com/some/path/to/image.jpg", {**COVER, "width": 300, "height": 200}, signed=True
    )
    assert SIGNED.parse(f"8ammJH8D-7tXy6kU3lTvoXlhu4o%3D/{path}", "", now=0) == asked
    with pytest.raises(SignatureMismatch):
        Thumbor(b"another").parse(f"8ammJH8D-7tXy6kU3lTvoXlhu4o=/{path}", "", now=0)


def test_unsafe_is_off_by_default() -> None:
    with pytest.raises(SignatureMissing):
        SIGNED.parse("unsafe/300x200/a.jpg", "", now=0)
    assert not ask("300x200/a.jpg").signed
    with pytest.raises(SignatureKeyUnknown):
        OPEN.parse(f"{sign('a.jpg')}/a.jpg", "", now=0)


def test_the_signature_is_verified_before_parsing() -> None:
    for text in ("-1x%FF/a.jpg", "filters:nothing()/a.jpg", ""):
        with pytest.raises(SignatureMismatch):
            SIGNED.parse(f"{'A' * 27}=/{text}", "", now=0)


@given(st.data())
def test_every_altered_byte_of_a_signed_url_is_forbidden(data: st.DataObject) -> None:
    text = "fit-in/300x200/filters:blur(3)/photos/a%20b.jpg"
    url = f"{sign(text)}/{text}"
    at = data.draw(st.integers(0, len(url) - 1))
    other = data.draw(st.integers(0x21, 0x7E).map(chr).filter(lambda one: one != url[at]))
    with pytest.raises(Forbidden):
        SIGNED.parse(url[:at] + other + url[at + 1 :], "", now=0)


def test_the_query_is_ignored() -> None:
    """thumbor signs and parses the path alone."""
    asked = SIGNED.parse(f"{sign('a.jpg')}/a.jpg", "v=1", now=0)
    assert asked == SIGNED.parse(f"{sign('a.jpg')}/a.jpg", "", now=0)
    with pytest.raises(SignatureMismatch):
        SIGNED.parse(f"{sign('a.jpg?v=1')}/a.jpg", "v=1", now=0)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("unsafe/300x200/a.jpg", True),
        ("8ammJH8D-7tXy6kU3lTvoXlhu4o=/a.jpg", True),
        ("8ammJH8D-7tXy6kU3lTvoXlhu4o%3D/a.jpg", True),
        ("unsafe", False),
        ("unsafely/a.jpg", False),
        ("photos/cat.jpg", False),
        ("0123456789abcdef0123456789abcdef/cat.jpg", False),
        ("photos/cat.jpg/w=640,fm=webp.webp", False),
        ("", False),
    ],
)
def test_only_thumbor_urls_match(path: str, *, meant: bool) -> None:
    assert bool(OPEN.matches(path, "")) is meant


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.jpg", {}),
        ("300x200/a.jpg", {**COVER, "width": 300, "height": 200}),
        ("300x/a.jpg", {**COVER, "width": 300}),
        ("300x0/a.jpg", {**COVER, "width": 300}),
        ("x200/a.jpg", {**COVER, "height": 200}),
        ("0x0/a.jpg", {}),
        ("x/a.jpg", {}),
        ("origxorig/a.jpg", {}),
        ("-300x-200/a.jpg", {**COVER, "width": 300, "height": 200, "flip": Flip.BOTH}),
        ("-0x0/a.jpg", {"flip": Flip.HORIZONTAL}),
        ("x-/a.jpg", {"flip": Flip.VERTICAL}),
        ("fit-in/300x200/a.jpg", {**INSIDE, "width": 300, "height": 200}),
        ("full-fit-in/300x200/a.jpg", {"fit": Fit.OUTSIDE, "enlarge": True, "width": 300, "height": 200}),
        ("20x20:10x30/a.jpg", {}),
        ("trim/10x20:110x220/a.jpg", {"region": (10, 20, 100, 200)}),
        ("10x20:110x220/a.jpg", {"region": (10, 20, 100, 200)}),
        ("0x0:0x0/a.jpg", {}),
        ("trim/a.jpg", {"trim": 0}),
        ("trim:top-left:50/a.jpg", {"trim": 28}),
        ("trim:bottom-right/a.jpg", {"trim": 0, "trim_last": True}),
        # thumbor takes what follows the first colon for the corner.
        ("trim:50/a.jpg", {"trim": 0, "trim_last": True}),
        ("trim:top-left:442/a.jpg", {"trim": 255}),
        ("300x200/left/top/a.jpg", {**COVER, "width": 300, "height": 200, "gravity": Gravity.NORTHWEST}),
        ("300x200/right/a.jpg", {**COVER, "width": 300, "height": 200, "gravity": Gravity.EAST}),
        ("300x200/center/bottom/a.jpg", {**COVER, "width": 300, "height": 200, "gravity": Gravity.SOUTH}),
        ("300x200/smart/a.jpg", {**COVER, "width": 300, "height": 200, "gravity": Gravity.ATTENTION}),
        ("300x200/left/smart/a.jpg", {**COVER, "width": 300, "height": 200, "gravity": Gravity.ATTENTION}),
    ],
)
def test_the_parts_of_a_path(text: str, values: dict[str, Any]) -> None:
    assert ask(text) == RenditionRequest("a.jpg", values)


@pytest.mark.parametrize(
    ("text", "key", "fields"),
    [
        ("top/left/i.jpg", "left/i.jpg", {"gravity"}),
        ("smart/300x200/i.jpg", "300x200/i.jpg", {"gravity"}),
        ("300x200/fit-in/i.jpg", "fit-in/i.jpg", {"width", "height", "fit", "enlarge"}),
        ("300x200/trim/i.jpg", "trim/i.jpg", {"width", "height", "fit", "enlarge"}),
        ("filters:grayscale()/300x200/i.jpg", "300x200/i.jpg", {"grey"}),
        ("300x200/300x200/i.jpg", "300x200/i.jpg", {"width", "height", "fit", "enlarge"}),
        ("filters:blur(3/i.jpg", "filters:blur(3/i.jpg", set()),
        ("filters:blur/i.jpg", "filters:blur/i.jpg", set()),
        ("filters:blur(3)i.jpg", "filters:blur(3)i.jpg", set()),
        ("filters:blur(3)/", "filters:blur(3)/", set()),
        ("smart", "smart", set()),
        ("top/", "top/", set()),
        ("fit-in/", "fit-in/", set()),
        ("my-fit-in/300x200/i.jpg", "my-fit-in/300x200/i.jpg", set()),
        ("a%2Fb%20%C3%A4.jpg", "a/b ä.jpg", set()),
    ],
)
def test_parts_out_of_order_or_unclosed_belong_to_the_key(text: str, key: str, fields: set[str]) -> None:
    asked = ask(text)
    assert (asked.key, set(asked.values)) == (key, fields)


@pytest.mark.parametrize(
    ("text", "box", "values"),
    [
        ("adaptive-fit-in/300x200/a.jpg", SizingRule.ADAPTIVE, {**INSIDE, "width": 300, "height": 200}),
        (
            "adaptive-full-fit-in/300x200/a.jpg",
            SizingRule.ADAPTIVE,
            {"fit": Fit.OUTSIDE, "enlarge": True, "width": 300, "height": 200},
        ),
        ("300xorig/a.jpg", SizingRule.ORIGINAL_HEIGHT, {**COVER, "width": 300}),
        ("origx200/a.jpg", SizingRule.ORIGINAL_WIDTH, {**COVER, "height": 200}),
    ],
)
def test_what_depends_on_the_original(text: str, box: SizingRule, values: dict[str, Any]) -> None:
    assert ask(text) == RenditionRequest("a.jpg", values, sizing=box)


@pytest.mark.parametrize(
    ("filters", "values"),
    [
        ("quality(40)", {"quality": 40}),
        ("max_bytes(7500)", {"max_bytes": 7500, "soft_limit": True}),
        ("max_bytes(1)", {"max_bytes": 100, "soft_limit": True}),
        ("background_color(ff8800)", {"background": Colour(255, 136, 0)}),
        ("background_color(Tomato)", {"background": Colour(255, 99, 71)}),
        ("blur(7)", {"blur": 4.002}),
        ("blur(7,2.5)", {"blur": 2.468}),
        ("sharpen(0,1.0,true)", {}),
        ("grayscale()", {"grey": True}),
        ("rotate(90)", {"rotate": 270}),
        ("rotate(-30)", {}),
        ("rotate(450)", {"rotate": 270}),
        ("round_corner(20,255,255,255)", {"round": (20,) * 4, "background": Colour(255, 255, 255)}),
        ("round_corner(30|30,0,0,0,1)", {"round": (30,) * 4}),
        ("cover()", {"frame": 1}),
        ("proportion(2)", {}),
        ("strip_exif():strip_icc()", {}),
        ("no_upscale():stretch()", {}),
        ("grayscale():quality(9)", {"grey": True, "quality": 9}),
    ],
)
def test_filters(filters: str, values: dict[str, Any]) -> None:
    assert ask(f"filters:{filters}/a.jpg") == RenditionRequest("a.jpg", values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("300x200/filters:no_upscale()", {"fit": Fit.COVER, "enlarge": False}),
        ("300x200/filters:stretch()", {"fit": Fit.FILL, "enlarge": True}),
        ("fit-in/300x200/filters:stretch()", INSIDE),
    ],
)
def test_filters_that_change_the_fit(text: str, values: dict[str, Any]) -> None:
    assert ask(f"{text}/a.jpg") == RenditionRequest("a.jpg", {"width": 300, "height": 200, **values})


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("300x200/left/filters:rotate(90)", {"width": 200, "height": 300, "rotate": 270, "gravity": "south"}),
        ("300x200/left/filters:rotate(180)", {"rotate": 180, "gravity": "east"}),
        ("-300x200/left/top", {"flip": Flip.HORIZONTAL, "gravity": "northeast"}),
        ("300x-200/left/top", {"flip": Flip.VERTICAL, "gravity": "southwest"}),
        # Flipped, then rotated left, equals rotated right, then flipped.
        (
            "-300x200/filters:rotate(90)",
            {"width": 200, "height": 300, "rotate": 90, "flip": Flip.HORIZONTAL},
        ),
        (
            "-300x200/left/filters:rotate(90)",
            {"width": 200, "height": 300, "rotate": 90, "flip": Flip.HORIZONTAL, "gravity": "north"},
        ),
    ],
)
def test_thumbor_crops_before_it_flips_and_rotates(text: str, values: dict[str, Any]) -> None:
    assert ask(f"{text}/a.jpg").values == {**COVER, "width": 300, "height": 200, **values}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("filters:sharpen(2,1.0,true)", "then=sharp:1:0.5"),
        ("filters:brightness(40)", "then=linear:1:102"),
        ("filters:contrast(-40)", "then=linear:0.36:81.92"),
        ("filters:saturation(40)", "then=saturate:40"),
        ("filters:equalize()", "then=equal:1"),
        ("filters:rgb(20,-20,40)", "then=linear:1:1:1:51:-51:102"),
        ("filters:colorize(0,100,20,ff8000)", "then=linear:1:0:0.8:0:128:0"),
        ("filters:noise(40,7)", "then=noise:40:7"),
        ("filters:round_corner(20|40,0,0,0)", "then=corners:20:40,then=bg:000000"),
        ("filters:convolution(1;2;1,3,false)", "then=conv:3:0:1:2:1"),
        ("filters:proportion(0.5)", "then=resize:200:150"),
        ("filters:blur(7):grayscale()", "then=blur:4.002,then=grey:1"),
        ("filters:watermark(a.png,0,0,0):grayscale()", "then=image:a.png;g:northwest,then=grey:1"),
        ("filters:grayscale():watermark(a.png,0,0,0)", "then=grey:1,then=image:a.png;g:northwest"),
        ("200x150/filters:rotate(90):equalize()", "w=200,h=150,enlarge=1,then=rotate:270,then=equal:1"),
        ("fit-in/200x200/filters:fill(blue)", "w=200,h=200,fit=inside,then=canvas:200:200:0:25:0000ff"),
        (
            "fit-in/200x200/filters:fill(blue,1)",
            "w=200,h=200,fit=inside,then=bg:0000ff,then=canvas:200:200:0:25:0000ff",
        ),
        ("fit-in/200x200/filters:fill(transparent)", "w=200,h=200,fit=inside,then=canvas:200:200:0:25"),
        ("fit-in/200x200/filters:fill(auto)", "w=200,h=200,fit=inside,then=backdrop:200:200:0:25:mean"),
        ("fit-in/200x200/filters:fill(blur)", "w=200,h=200,fit=inside,then=backdrop:200:200:0:25:blurred"),
        ("fit-in/800x800/filters:upscale()", "w=800,h=800,fit=inside,then=resize:800:600"),
        ("fit-in/100x100/filters:upscale():proportion(0.5)", "w=100,h=100,fit=inside,then=resize:50:37"),
        (
            "fit-in/100x100/filters:rotate(90):fill(blue)",
            "w=100,h=100,fit=inside,then=rotate:270,then=canvas:100:100:12:0:0000ff",
        ),
        ("adaptive-fit-in/100xorig", "w=300,h=100,fit=inside"),
        ("adaptive-fit-in/100x200", "w=200,h=100,fit=inside"),
    ],
)
def test_filters_run_in_the_order_of_the_url(text: str, steps: str) -> None:
    assert final(f"{text}/a.jpg") == steps


def test_a_tiff_becomes_png_and_max_age_is_kept() -> None:
    asked = OPEN.parse("unsafe/filters:max_age(30)/a.tif", "", now=0)
    assert asked.max_age == 30
    original = ImageMetadata(400, 300, "tiff", 1, False, 1, "")
    recipe = parse_recipe('[presets.p]\nwidth = 1\n[[rules]]\nmatch = "no"\npresets = ["p"]\n')
    assert resolve(asked, original, {}, recipe, Policy()).transformation.format == "png"


def test_formats() -> None:
    assert ask("filters:format(jpg)/a.png").format == "jpeg"
    assert ask("filters:format(WEBP)/a.png").format == "webp"
    assert ask("filters:autojpg()/a.png").format == AUTO
    assert ask("filters:autojpg(false)/a.png").format is None
    assert ask("a.png").format is None


def test_a_focal_point_in_pixels_is_resolved_with_the_original() -> None:
    assert ask("400x100/filters:focal(146x206:279x360)/a.jpg").focus == (212.5, 283)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ("logos/a.png,-10,-10,50", {"gravity": Gravity.SOUTHEAST, "x": 10, "y": 10, "opacity": 50}),
        (
            "logos/a.png,10p,-20p,0",
            {
                "gravity": Gravity.SOUTHWEST,
                "x": RelativeLength(0.1),
                "y": RelativeLength(0.2),
                "opacity": 100,
            },
        ),
        ("logos/a.png,center,5,0", {"gravity": Gravity.NORTH, "y": 5}),
        ("logos/a.png,center,center,0", {}),
        ("logos/a.png,repeat,repeat,30", {"spread": Flip.BOTH, "opacity": 70}),
        ("logos/a.png,repeat,5,0", {"spread": Flip.HORIZONTAL, "gravity": Gravity.NORTH, "y": 5}),
        (
            "logos/a.png,30,10,50,15.2,none",
            {"gravity": Gravity.NORTHWEST, "x": 30, "y": 10, "opacity": 50, "width": RelativeLength(0.152)},
        ),
        (
            "s3://photos/logos/a.png,0,0,0,none,15",
            {"gravity": Gravity.NORTHWEST, "height": RelativeLength(0.15)},
        ),
    ],
)
def test_watermarks(arguments: str, fields: dict[str, Any]) -> None:
    asked = ask(f"filters:watermark({arguments})/a.jpg")
    assert asked.values == {"overlays": (ImageOverlay(image="logos/a.png", **fields),)}


def test_parentheses_nest_and_protect_commas() -> None:
    calls, rest = parse_filters("filters:watermark(logo(1,2).png,1,2,3):blur(3)/a(1).jpg")
    assert calls == (FilterCall("watermark", ("logo(1,2).png", "1", "2", "3")), FilterCall("blur", ("3",)))
    assert rest == "a(1).jpg"
    asked = ask("filters:watermark(a%28%2C.png,0,0,0)/a.jpg")
    assert asked.values["overlays"][0].image == "a(,.png"


def test_all_problems_are_reported_with_their_parts() -> None:
    found = problems("99999x1/filters:quality(250):blur(x):format(doc):red_eye():fill(x)/http://a/b.jpg")
    assert found == [
        "expected a whole number of pixels from 1 to 16383 for width, got 99999",
        "expected a whole number from 1 to 100 for quality, got '250'",
        "expected a whole number from 1 to 10000 for blur, got 'x'",
        "expected one of jpg, jpeg, png, webp, avif, gif, tiff, apng, avifs for format, got 'doc'",
        *found[4:5],
        "expected a colour as RRGGBB, RGB or a CSS name for fill, got 'x'",
        *found[6:],
    ]
    assert found[6].startswith(
        "expected the key of an original, or a URL of a host that IMAGE_PROCESSOR_BUCKETS "
    )
    assert found[4].startswith("expected one of autojpg, ")
    assert found[4].endswith("for red_eye, got 'red_eye()'")


@pytest.mark.parametrize(
    "text",
    [
        "meta/300x200/a.jpg",
        "debug/300x200/a.jpg",
        "trim:top-left:443/a.jpg",
        "filters:blur(0)/a.jpg",
        "filters:frame(a.png)/a.jpg",
        "filters:convolution(1;2;1;2,2)/a.jpg",
        "filters:focal(1x2)/a.jpg",
        "filters:quality()/a.jpg",
        "filters:grayscale(1)/a.jpg",
        "filters:watermark(a.png,0,0)/a.jpg",
        "filters:watermark(a.png,120p,0,0)/a.jpg",
        "filters:watermark(//other/a.png,0,0,0)/a.jpg",
        "filters:" + ":".join(["watermark(a.png,0,0,0)"] * 9) + "/a.jpg",
        f"300x{'9' * 5000}/a.jpg",
        "https%3A%2F%2Fother%2Fa.jpg",
        "%FF.jpg",
        "filters:blur(%FF)/a.jpg",
        "../a.jpg",
        "",
    ],
)
def test_unsupported_operations_are_rejected(text: str) -> None:
    assert problems(text)


def test_lenient_ignores_unsupported_operations_but_not_errors() -> None:
    lenient = Thumbor(unsafe=True, lenient=True)
    text = "debug/300x200/filters:red_eye():curve([(0,0)]):grayscale()/a.jpg"
    assert ask(text, lenient).values == {**COVER, "width": 300, "height": 200, "grey": True}
    assert problems("filters:quality(0)/a.jpg", lenient)
    assert problems("meta/a.jpg", lenient)


@pytest.mark.parametrize(
    "text", ["s3:other/a.jpg", "s3://other/a.jpg", "filters:watermark(s3:b/a.png,0,0,0)/a"]
)
def test_a_bucket_must_be_allowed(text: str) -> None:
    with pytest.raises(BucketNotAllowed):
        ask(text)
    assert ask("s3:photos/a.jpg").key == ask("s3://photos/a.jpg").key == "a.jpg"


def test_repr_hides_the_key() -> None:
    assert "security" not in repr(SIGNED)


# Properties ---------------------------------------------------------------------------------------

SIDES = st.integers(1, 16383)
FILTERS = st.one_of(
    st.integers(1, 100).map(lambda n: (f"quality({n})", {"quality": n})),
    st.integers(1, 100_000).map(lambda n: (f"max_age({n})", {})),
    st.just(("grayscale()", {"grey": True})),
)


@given(
    SIDES,
    SIDES,
    st.booleans(),
    st.sampled_from([("", {}), ("left/", {"gravity": "west"}), ("smart/", {"gravity": "attention"})]),
    st.lists(FILTERS, max_size=3, unique_by=lambda one: one[0].partition("(")[0]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
)
def test_known_urls_are_parsed_as_expected(
    width: int,
    height: int,
    fits: Any,
    gravity: tuple[str, dict[str, Any]],
    filters: list[tuple[str, dict[str, Any]]],
    name: str,
) -> None:
    key = f"k/{name}".replace("..", "__")
    chain = f"filters:{':'.join(text for text, _ in filters)}/" if filters else ""
    escaped = "".join(f"%{byte:02X}" for byte in key.encode())
    asked = ask(f"{'fit-in/' if fits else ''}{width}x{height}/{gravity[0]}{chain}{escaped}")
    expected = {"width": width, "height": height, **(INSIDE if fits else COVER), **gravity[1]}
    for _, values in filters:
        expected |= values
    assert replace(asked, max_age=None) == RenditionRequest(key, expected)
    assert Transformation(**asked.values).quality in {None, expected.get("quality")}


@given(st.text(max_size=80), st.text(max_size=20), st.booleans())
@example("\ud800", "", True)
@example("filters:blur(\ud800)/a", "", True)
@example("\u0660x1/a.jpg", "", True)
def test_arbitrary_text_raises_expected_errors_only(text: str, query: str, lenient: Any) -> None:
    for dialect, path in (
        (Thumbor(unsafe=True, lenient=lenient), f"unsafe/{text}"),
        (SIGNED, text),
        (SIGNED, f"{sign('x')}/{text}"),
    ):
        dialect.matches(text, query)
        with contextlib.suppress(Invalid, Forbidden):
            assert dialect.parse(path, query, now=0).key


WORDS = """filters: blur( quality( watermark( fill( rotate( round_corner( rgb( ) / , : 1 -1 0.5 99999 x
300x200 orig a.jpg red auto fit-in smart trim 1x2:3x4 %2F %FF | ;"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=25).map("".join))
def test_random_combinations_raise_expected_errors_only(text: str) -> None:
    try:
        asked = ask(text)
    except (Invalid, Forbidden):
        return
    assert asked.key
    Transformation(**asked.values)
