"""DIT URLs: base64 of JSON, thumbor's form, query parameters, signatures and error codes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_processor.delivery.dialects.dit import Dit
from image_processor.delivery.dialects.dit.dialect import ERROR_CODES
from image_processor.delivery.request import RenditionRequest
from image_processor.domain.errors import (
    BucketNotAllowed,
    Forbidden,
    ImageProcessorError,
    Invalid,
    InvalidRequest,
    NotFound,
    SignatureExpired,
    SignatureMismatch,
    SignatureMissing,
)
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    BLACK,
    Blend,
    Colour,
    Edge,
    Fit,
    Flip,
    Gravity,
    ImageOverlay,
    RelativeLength,
    Step,
    Subsampling,
    Transformation,
)

SECRET = b"secret"
OPEN = Dit(buckets=frozenset({"photos"}))
SIGNED = Dit(SECRET)
LENIENT = Dit(lenient=True)
ORIGINAL = ImageMetadata(480, 320, "jpeg", 1, False, 1, "")
NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC).timestamp()
RED = Colour(255, 0, 0)
KEY = "the key of an original, or a URL of a host that IMAGE_PROCESSOR_BUCKETS names"
GREY = Step("lch", (1, 0, 0, 0))


def sign(path: str, query: str = "") -> str:
    return hmac.new(SECRET, f"/{path}{'?' if query else ''}{query}".encode(), hashlib.sha256).hexdigest()


def encoded(request: object) -> str:
    return base64.b64encode(json.dumps(request).encode()).decode()


def ask(path: str, query: str = "", dialect: Dit = OPEN) -> RenditionRequest:
    return dialect.parse(path, query, now=NOW)


def edited(edits: object, dialect: Dit = OPEN, **more: Any) -> RenditionRequest:
    return ask(encoded({"key": "a.jpg", "edits": edits, **more}), dialect=dialect)


def fields(request: RenditionRequest, original: ImageMetadata = ORIGINAL) -> dict[str, Any]:
    """The fields of the transformation of ``original``."""
    if request.geometry is None:
        return dict(request.values)
    return dict(request.geometry.apply(request.values, original, request.format))


def problems(path: str, query: str = "", dialect: Dit = OPEN) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        ask(path, query, dialect)
    return [str(each) for each in caught.value.problems]


# Signatures ---------------------------------------------------------------------------------------


def test_the_documented_signature_is_accepted() -> None:
    signature = "7d84ea3dd930d366c377cf342e6ef0c18b550f2dd96a8f4361ae0836a41d54a7"
    asked = ask("fit-in/300x300/test.jpg", f"signature={signature}", SIGNED)
    assert asked == RenditionRequest(
        "test.jpg", {"width": 300, "height": 300, "fit": Fit.INSIDE, "enlarge": True}, signed=True
    )


def test_other_parameters_are_signed_sorted_and_decoded() -> None:
    signature = sign("a.jpg", "fit=inside&format=webp&v=a b/c&width=100")
    query = f"width=100&v=a%20b%2Fc&signature={signature}&format=webp&fit=inside"
    assert ask("a.jpg", query, SIGNED).signed
    assert ask("a.jpg", query.replace("a%20b", "a+b"), SIGNED).signed
    for other in ("width=101", "width=100&height=1"):
        with pytest.raises(SignatureMismatch):
            ask("a.jpg", query.replace("width=100", other), SIGNED)


def test_two_parameters_are_not_signed_as_one() -> None:
    signature = sign("a.jpg", "height=2&width=1")
    with pytest.raises(SignatureMismatch):
        ask("a.jpg", f"height=2%26width=1&signature={signature}", SIGNED)


def test_a_signature_must_be_given_once_and_match() -> None:
    right = sign("300x300/a.jpg")
    for query in (
        f"signature={right}&signature={right}",
        f"signature={'0' * 64}",
        f"signature={right.upper()}",
        f"signature={right}%FF",
        "signature=",
    ):
        with pytest.raises(SignatureMismatch):
            ask("300x300/a.jpg", query, SIGNED)


def test_an_unsigned_url_that_does_not_parse_is_forbidden_with_a_secret() -> None:
    with pytest.raises(SignatureMissing):
        ask("300x300/a.jpg", "width=x", SIGNED)
    with pytest.raises(InvalidRequest):
        ask("300x300/a.jpg", f"width=x&signature={sign('300x300/a.jpg', 'width=x')}", SIGNED)


def test_unsigned_urls_are_limited_to_public_presets() -> None:
    assert not ask("300x300/a.jpg", "", SIGNED).signed
    assert not ask("300x300/a.jpg", "signature=00", OPEN).signed


@given(st.data())
def test_every_altered_byte_of_a_signed_url_is_forbidden(data: st.DataObject) -> None:
    path = "fit-in/300x200/filters:blur(3)/photos/a%20b.jpg"
    query = f"expires=20300101T000000Z&width=70&signature={sign(path, 'expires=20300101T000000Z&width=70')}"
    url = f"{path}?{query}"
    assert ask(path, query, SIGNED).signed
    at = data.draw(st.integers(0, len(url) - 1).filter(lambda at: url[at] != "?"))
    other = data.draw(st.integers(0x21, 0x7E).map(chr).filter(lambda one: one not in {url[at], "?"}))
    altered_path, _, altered_query = (url[:at] + other + url[at + 1 :]).partition("?")
    try:
        # Without that parameter it is an unsigned URL, which a public preset may allow.
        asked = ask(altered_path, altered_query, SIGNED)
    except Forbidden:
        return
    assert not asked.signed
    assert "signature" not in {part.partition("=")[0] for part in altered_query.split("&")}


def test_an_expired_url_is_rejected() -> None:
    path = "300x300/a.jpg"
    later, earlier = "expires=20260102T120001Z", "expires=20260102T120000Z"
    assert ask(path, f"{later}&signature={sign(path, later)}", SIGNED).signed
    with pytest.raises(SignatureExpired):
        ask(path, f"{earlier}&signature={sign(path, earlier)}", SIGNED)
    with pytest.raises(SignatureExpired):
        ask(path, earlier, OPEN)
    with pytest.raises(SignatureMismatch):  # nobody learns by guessing
        ask(path, f"{earlier}&signature=0", SIGNED)
    for wrong in ("20261301T000000Z", "20260102", "tomorrow", "20260102T120001z"):
        assert problems(path, f"expires={wrong}")[0].startswith(
            "expected a time as YYYYMMDDTHHmmssZ for expires"
        )


# Which URLs are DIT's -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query", "meant"),
    [
        (encoded({"key": "a.jpg"}), "", True),
        (encoded({"key": "a.jpg"}).replace("=", "%3D"), "", True),
        ("fit-in/300x300/a.jpg", "", True),
        ("300x300/a.jpg", "", True),
        ("1x2:3x4/a.jpg", "", True),
        ("filters:blur(3)/a.jpg", "", True),
        ("s3:photos/a.jpg", "", True),
        ("a.jpg", "signature=0", True),
        ("a.jpg", "width=1&expires=2", True),
        ("a.jpg", "flop=true", True),
        ("a.jpg", "width=300", False),
        ("a.jpg", "", False),
        ("photos/300x300/a.jpg", "", False),
        ("my-fit-in/a.jpg", "", False),
        ("eyJ.jpg", "", False),
        ("a.jpg/w=300,fm=webp.webp", "", False),
    ],
)
def test_which_urls_match(path: str, query: str, *, meant: bool) -> None:
    assert bool(OPEN.matches(path, query)) is meant


def test_without_signatures_plain_parameters_match() -> None:
    everybody = Dit(unsafe=True)
    assert everybody.matches("a.jpg", "width=300&format=webp")
    assert not everybody.matches("a.jpg", "width=300&blur=3")
    assert not everybody.matches("a.jpg", "")


# JSON ---------------------------------------------------------------------------------------------

BOX = {"fit": Fit.COVER, "enlarge": True}


@pytest.mark.parametrize(
    ("edits", "values"),
    [
        ({}, {}),
        (None, {}),
        ({"resize": {"width": 300, "height": 200}}, {"width": 300, "height": 200, **BOX}),
        ({"resize": {"width": "300", "height": None}}, {"width": 300, **BOX}),
        ({"resize": {"width": 300.6, "height": ""}}, {"width": 301, **BOX}),
        (
            {"resize": {"width": 3, "height": 4, "fit": "contain"}},
            {"width": 3, "height": 4, "fit": Fit.CONTAIN, "enlarge": True, "background": BLACK},
        ),
        (
            {"resize": {"width": 3, "height": 4, "fit": "contain", "background": {"r": 255, "g": 0, "b": 0}}},
            {"width": 3, "height": 4, "fit": Fit.CONTAIN, "enlarge": True, "background": RED},
        ),
        (
            {
                "resize": {
                    "width": 3,
                    "height": 4,
                    "fit": "contain",
                    "background": {"r": 0, "g": 0, "b": 0, "alpha": 0},
                }
            },
            {"width": 3, "height": 4, "fit": Fit.CONTAIN, "enlarge": True},
        ),
        (
            {"resize": {"width": 3, "height": 4, "withoutEnlargement": True, "position": "right top"}},
            {"width": 3, "height": 4, "fit": Fit.COVER, "enlarge": False, "gravity": Gravity.NORTHEAST},
        ),
        ({"resize": {"width": 3, "gravity": "entropy"}}, {"width": 3, **BOX, "gravity": Gravity.ENTROPY}),
        ({"resize": {"width": 3, "position": 5}}, {"width": 3, **BOX, "gravity": Gravity.NORTHEAST}),
        ({"resize": {"ratio": 0.5}}, {"zoom": 0.5, "enlarge": True}),
        ({"extract": {"left": 1, "top": 2, "width": 3, "height": 4}}, {"region": (1, 2, 3, 4)}),
        (
            {"crop": {"left": 1, "top": 2, "width": 3, "height": 4}, "resize": {"width": 3}},
            {"region": (1, 2, 3, 4), "width": 3, **BOX},
        ),
        ({"rotate": 90}, {"rotate": 90}),
        ({"rotate": None}, {}),
        ({"rotate": -90}, {"rotate": 270}),
        ({"flip": True}, {"flip": Flip.VERTICAL}),
        ({"flop": True}, {"flip": Flip.HORIZONTAL}),
        ({"flip": True, "flop": True, "rotate": 90}, {"flip": Flip.BOTH, "rotate": 90}),
        ({"flop": True, "rotate": 90}, {"flip": Flip.HORIZONTAL, "rotate": 270}),
        ({"flip": False}, {}),
        ({"grayscale": True}, {"steps": (GREY,)}),
        ({"greyscale": "true"}, {"steps": (GREY,)}),
        ({"tint": {"r": 255, "g": 0, "b": 0}}, {"tint": RED}),
        ({"tint": "red"}, {"tint": RED}),
        ({"blur": 5}, {"blur": 5}),
        ({"blur": True}, {"blur": 0.5}),
        ({"blur": {"sigma": 2}}, {"blur": 2}),
        ({"sharpen": 2}, {"sharpen": (2, 1)}),
        ({"sharpen": True}, {"sharpen": (0.5, 1)}),
        ({"median": 5}, {"median": 5}),
        ({"gamma": 1.5}, {}),
        ({"negate": True}, {"negate": True}),
        ({"normalize": True}, {"steps": (Step("norm", (1, 99)),)}),
        ({"normalise": {"lower": 5, "upper": 90}}, {"steps": (Step("norm", (5, 90)),)}),
        ({"normalise": True}, {"steps": (Step("norm", (1, 99)),)}),
        ({"flatten": {"background": "#f00"}}, {"background": RED}),
        ({"flatten": True}, {"background": BLACK}),
        (
            {"extend": {"top": 1, "left": 4, "bottom": 3, "right": 2, "background": "red"}},
            {"padding": (1, 2, 3, 4), "edge": Edge.BACKGROUND, "background": RED},
        ),
        ({"extend": 7}, {"padding": (7,) * 4, "edge": Edge.BACKGROUND, "background": BLACK}),
        (
            {"extend": {"top": 1, "extendWith": "mirror"}},
            {"padding": (1, 0, 0, 0), "edge": Edge.MIRROR, "background": BLACK},
        ),
        ({"trim": {}}, {"trim": 10}),
        ({"trim": {"threshold": 30, "background": "red"}}, {"trim": 30, "trim_colour": RED}),
        (
            {"modulate": {"brightness": 0.5, "saturation": 1.5, "hue": 400, "lightness": 3}},
            {"steps": (Step("lch", (0.5, 1.5, 40, 3)),)},
        ),
        ({"linear": 1.5}, {"steps": (Step("linear", (1.5, 0)),)}),
        ({"threshold": 100}, {"steps": (Step("threshold", 100),)}),
        (
            {"recomb": [[1, 0, 0], [0, 0, 1], [0, 1, 0]]},
            {"steps": (Step("matrix", (1, 0, 0, 0, 0, 1, 0, 1, 0)),)},
        ),
        # In the order of the edits: a crop and a rotation after the resize are applied to its result.
        (
            {"resize": {"width": 3}, "extract": {"left": 0, "top": 0, "width": 2, "height": 2}, "rotate": 90},
            {"width": 3, **BOX, "steps": (Step("rotate", (90,)), Step("crop", (0, 0, 2, 2)))},
        ),
        ({"rotate": 90, "resize": {"width": 3}}, {"width": 3, **BOX, "rotate": 90}),
        ({"rotate": 30}, {"steps": (Step("rotate", (30, BLACK)), Step("crop", (0, 0, 576, 517)))}),
        ({"convolve": {"width": 3, "height": 3, "kernel": [1] * 9}}, {"convolve": (1,) * 9}),
        ({"animated": False}, {"frame": 1}),
        ({"animated": True}, {}),
        ({"smartCrop": True}, {"gravity": Gravity.FACES}),
        ({"smartCrop": False}, {}),
        (
            {"roundCrop": True},
            {
                "background": BLACK,
                "steps": (
                    Step("ellipse", (240, 160, 160, 160)),
                    Step("crop", (80, 0, 320, 320)),
                    Step("bg", BLACK),
                ),
            },
        ),
        ({"stripExif": True, "stripIcc": True}, {}),
    ],
)  # fmt: skip
def test_edits(edits: Any, values: dict[str, Any]) -> None:
    asked = edited(edits)
    assert (asked.key, fields(asked)) == ("a.jpg", values)
    Transformation(**values)


def test_formats_and_their_options() -> None:
    assert edited({"toFormat": "jpg"}).format == "jpeg"
    assert edited({}, outputFormat="webp").format == "webp"
    assert edited({"toFormat": "avif"}, outputFormat="webp").format == "avif"
    asked = edited(
        {"jpeg": {"quality": 70, "progressive": True, "chromaSubsampling": "4:4:4", "mozjpeg": True}}
    )
    assert (asked.format, asked.qualities) == ("jpeg", {"jpeg": 70})
    assert asked.values == {"progressive": True, "subsampling": Subsampling.FULL, "optimise": True}
    asked = edited({"webp": {"quality": 70, "effort": 6, "lossless": False}}, outputFormat="avif")
    assert (asked.format, asked.qualities) == ("avif", {"webp": 70})
    assert asked.values == {"effort": 9, "lossless": False}
    assert edited({}, outputFormat="webp", effort=2).values == {"effort": 3}


@pytest.mark.parametrize(
    ("more", "placed"),
    [
        ({}, {}),
        ({"alpha": "30"}, {"opacity": 70}),
        ({"wRatio": "20", "hRatio": 50}, {"width": RelativeLength(0.2), "height": RelativeLength(0.5)}),
        ({"options": {"left": "10", "top": 20}}, {"gravity": Gravity.NORTHWEST, "x": 10, "y": 20}),
        (
            {"options": {"left": "-10p", "top": -20}},
            {"gravity": Gravity.SOUTHEAST, "x": RelativeLength(0.1), "y": 20},
        ),
        ({"options": {"blend": "multiply"}}, {"blend": Blend.MULTIPLY}),
        ({"options": {"gravity": "southeast"}}, {"gravity": Gravity.SOUTHEAST}),
        ({"options": {"tile": True}}, {"tile": True}),
        (
            {"options": {"tile": True, "left": 5, "top": 6}},
            {"gravity": Gravity.NORTHWEST, "tile": True, "x": -5, "y": -6},
        ),
        ({"alpha": "x", "wRatio": "101"}, {}),
        ({"bucket": "photos"}, {}),
    ],
)
def test_watermarks(more: dict[str, Any], placed: dict[str, Any]) -> None:
    asked = edited({"overlayWith": {"key": "logos/a.png", **more}})
    assert fields(asked) == {"overlays": (ImageOverlay(image="logos/a.png", **placed),)}


def test_either_alphabet_of_base64_is_read_with_and_without_padding() -> None:
    request = {"key": "a/ä?>~.jpg"}
    body = json.dumps(request, ensure_ascii=False).encode()
    for path in (
        base64.b64encode(body).decode(),
        base64.b64encode(body).decode().rstrip("="),
        base64.urlsafe_b64encode(body).decode(),
        quote(base64.b64encode(body).decode(), safe=""),
    ):
        assert OPEN.matches(path, "")
        assert ask(path).key == "a/ä?>~.jpg"


def test_buckets() -> None:
    assert edited({}, bucket="photos").key == "a.jpg"
    assert ask("fit-in/s3:photos/9x9/a.jpg").key == "a.jpg"
    for call in (
        lambda: edited({}, bucket="other"),
        lambda: edited({"overlayWith": {"key": "a", "bucket": "other"}}),
        lambda: ask("s3:other/a.jpg"),
        lambda: ask("filters:watermark(other,a.png,0,0,0)/a.jpg"),
    ):
        with pytest.raises(BucketNotAllowed):
            call()


# thumbor's form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key", "values"),
    [
        ("300x200/a.jpg", "a.jpg", {"width": 300, "height": 200, **BOX}),
        ("300x0/a.jpg", "a.jpg", {"width": 300, "fit": Fit.INSIDE, "enlarge": True}),
        ("0x0/300x200/a.jpg", "300x200/a.jpg", {}),
        ("300x200/300x200/a.jpg", "300x200/a.jpg", {"width": 300, "height": 200, **BOX}),
        ("fit-in/fit-in/a.jpg", "fit-in/a.jpg", {}),
        ("fit-in/my-fit-in/a.jpg", "my-fit-in/a.jpg", {}),
        ("10x20:30x50/a.jpg", "a.jpg", {"region": (10, 20, 20, 30)}),
        ("9x9/10x20:30x50/a.jpg", "a.jpg", {"region": (10, 20, 20, 30), "width": 9, "height": 9, **BOX}),
        ("filters:blur(7)/a.jpg", "a.jpg", {"blur": 3.5}),
        ("filters:blur(7,2)/a.jpg", "a.jpg", {"blur": 2}),
        ("filters:sharpen(9,1.5,true)/a.jpg", "a.jpg", {"sharpen": (1.75, 1)}),
        ("filters:rgb(100,0,0)/a.jpg", "a.jpg", {"tint": RED}),
        ("filters:rotate(90)/a.jpg", "a.jpg", {"rotate": 90}),
        (
            "filters:grayscale()/filters:equalize()/a.jpg",
            "a.jpg",
            {"steps": (GREY, Step("norm", (1, 99)))},
        ),
        ("filters:quality(50)/9x9/a.jpg", "a.jpg", {"width": 9, "height": 9, **BOX, "quality": 50}),
        ("filters:background_color(red)/a.jpg", "a.jpg", {"background": RED}),
        (
            "fit-in/9x9/filters:fill(f00)/a.jpg",
            "a.jpg",
            {"width": 9, "height": 9, "fit": Fit.CONTAIN, "enlarge": True, "background": RED},
        ),
        (
            "9x9/filters:stretch():no_upscale()/a.jpg",
            "a.jpg",
            {"width": 9, "height": 9, "fit": Fit.FILL, "enlarge": False},
        ),
        (
            "9x9/filters:upscale()/a.jpg",
            "a.jpg",
            {"width": 9, "height": 9, "fit": Fit.INSIDE, "enlarge": True},
        ),
        ("filters:proportion(0.5)/a.jpg", "a.jpg", {"zoom": 0.5, "enlarge": True}),
        ("filters:rotate()/a.jpg", "a.jpg", {}),
        ("filters:noise(3):grayscale()/a.jpg", "a.jpg", {"steps": (GREY,)}),
        ("filters:convolution(1;2;1;2;4;2;1;2;1,3,false)/a.jpg", "a.jpg",
         {"convolve": (1, 2, 1, 2, 4, 2, 1, 2, 1)}),
        ("filters:animated(false)/a.jpg", "a.jpg", {"frame": 1}),
        ("filters:smart_crop()/a.jpg", "a.jpg", {"gravity": Gravity.FACES}),
        ("filters:strip_exif():strip_icc()/a.jpg", "a.jpg", {}),
        (
            "filters:watermark(photos,logos/a.png,-10,20p,30,15,none)/a.jpg",
            "a.jpg",
            {
                "overlays": (
                    ImageOverlay(
                        image="logos/a.png",
                        gravity=Gravity.NORTHEAST,
                        x=10,
                        y=RelativeLength(0.2),
                        opacity=70,
                        width=RelativeLength(0.15),
                    ),
                )
            },
        ),
        ("9x9/a%20b%C3%A4.jpg", "a bä.jpg", {"width": 9, "height": 9, **BOX}),
        ("9x9/filters:blur(3/a.jpg", "filters:blur(3/a.jpg", {"width": 9, "height": 9, **BOX}),
    ],
)  # fmt: skip
def test_paths_of_thumbors_form(path: str, key: str, values: dict[str, Any]) -> None:
    asked = ask(path)
    assert (asked.key, fields(asked)) == (key, values)


def test_formats_of_thumbors_form() -> None:
    assert ask("filters:format(webp)/a.jpg").format == "webp"
    assert ask("filters:autojpg()/a.png").format == "jpeg"


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("width=300", {"width": 300, **BOX}),
        ("resize.width=300&resize.fit=inside&rotate=", {"width": 300, **BOX, "fit": Fit.INSIDE}),
        ("unknown=1&resize.height=5", {"height": 5, **BOX}),
        ("width=300&height=0", {"width": 300, **BOX}),
        ("fit=fill", {}),
        (
            "rotate=90&flop=True",
            {
                "width": 9,
                "height": 9,
                "fit": Fit.OUTSIDE,
                "enlarge": True,
                "flip": Flip.HORIZONTAL,
                # As in sharp, the crop comes after the turn: of 14 x 9 pixels, which are then 9 x 14.
                "steps": (Step("rotate", (90,)), Step("crop", (0, 3, 9, 9))),
            },
        ),
        ("rotate=", {"width": 9, "height": 9, **BOX}),
        (
            "flip=true&grayscale=true",
            {"width": 9, "height": 9, **BOX, "flip": Flip.VERTICAL, "steps": (GREY,)},
        ),
        ("greyscale=True", {"width": 9, "height": 9, **BOX, "steps": (GREY,)}),
        ("flip=False&v=3", {"width": 9, "height": 9, **BOX}),
    ],
)
def test_the_query_overrides_the_path(query: str, values: dict[str, Any]) -> None:
    path = encoded({"key": "a.jpg", "edits": {"resize": {"width": 9, "height": 9}}})
    assert ask(path, query) == ask("9x9/a.jpg", query)
    assert fields(ask(path, query)) == values
    assert ask(path, "format=webp").format == "webp"


def test_the_keys_of_two_buckets_are_apart() -> None:
    dialect = Dit(buckets=frozenset({"photos", "logos=brand/"}))
    for bucket, key in (("photos", "a.jpg"), ("logos", "brand/a.jpg")):
        assert ask(encoded({"bucket": bucket, "key": "a.jpg"}), dialect=dialect).key == key
        assert ask(f"s3:{bucket}/9x9/a.jpg", dialect=dialect).key == key
        edits = {"overlayWith": {"bucket": bucket, "key": "a.jpg"}}
        (overlay,) = ask(encoded({"key": "b.jpg", "edits": edits}), dialect=dialect).values["overlays"]
        assert overlay.image == key


def test_an_invalid_unsigned_url_is_named_if_unsigned_urls_are_allowed() -> None:
    path = encoded({"key": "a.jpg", "edits": {"clahe": {}}})
    with pytest.raises(InvalidRequest, match="clahe"):
        Dit(b"secret", unsafe=True).parse(path, "", now=NOW)
    with pytest.raises(SignatureMissing):
        Dit(b"secret").parse(path, "", now=NOW)


def test_a_palette_is_a_png_of_256_colours() -> None:
    asked = edited({"png": {"palette": True}})
    assert (asked.format, asked.values) == ("png", {"colours": 256})


def test_a_watermark_without_a_numeric_position_is_centred() -> None:
    for arguments in ("photos,a.png,x,x", "photos,a.png,left,center,0"):
        (overlay,) = ask(f"filters:watermark({arguments})/a.jpg").values["overlays"]
        assert (overlay.gravity, overlay.x, overlay.y, overlay.opacity) == (Gravity.CENTRE, 0, 0, 100)


# Unsupported operations ----------------------------------------------------------------------------------


def test_all_problems_are_reported_with_their_edits() -> None:
    request = {
        "key": "http://other/a.jpg",
        "edits": {
            "resize": {"width": -3, "fit": "squeeze"},
            "blur": "much",
            "contentModeration": True,
            "toFormat": "heic",
        },
    }
    assert problems(encoded(request)) == [
        "expected a number from 0.5 to 16383 for resize.width, got '-3'",
        "expected cover | contain | fill | inside | outside for resize.fit, got 'squeeze'",
        "expected a number from 0.3 to 1000 for blur, got 'much'",
        "expected nothing, as this is not supported for contentModeration, got 'contentModeration'",
        "expected one of jpg, jpeg, png, webp, avif, gif, tiff, apng, avifs for toFormat, got 'heic'",
        f"expected {KEY}, as nothing is fetched from other servers for key, got 'http://other/a.jpg'",
    ]
    assert problems("filters:fill(nocolour):blur(x)/9x9/a.jpg") == [
        "expected a colour as RRGGBB, RGB or a CSS name for fill, got 'nocolour'",
        "expected a number from 0.3 to 1000 for blur, got 'x'",
    ]


@pytest.mark.parametrize(
    "edits",
    [
        {"smartCrop": {"faceIndex": 1, "padding": 40}},
        {"roundCrop": {"rx": "wide"}},
        {"resize": {"width": 300, "height": 0}},
        {"resize": {"width": 3, "height": 3, "fit": "contain", "background": "#00ff0080"}},
        {"resize": {"width": [], "kernel": {}, "position": []}},
        {"resize": "big"},
        {"affine": [1, 2, 3, 4]},
        {"overlayWith": {"key": 3}},
        {"overlayWith": {"key": "a", "options": {"blend": "dest-in"}}},
        {"overlayWith": {"key": "a", "options": {"gravity": []}}},
        {"extract": {"left": 0, "top": 0, "width": 0, "height": 3}},
        {"tint": {"r": 300, "g": 0, "b": 0}},
        {"extend": {"top": 3, "background": {"r": 1, "g": 1, "b": 1, "alpha": 0.5}}},
        {"overlayWith": {"key": "a", "options": {"left": 5}}},
        {"median": 4},
        {"median": True},
        {"gamma": True},
        {"trim": 10},
        {"blur": 0.1},
        {"rotate": "90"},
        {"jpeg": {"unheard": True}},
        {"jpeg": {"quality": 0}},
        {"jpeg": {"chromaSubsampling": []}},
        {"extend": {"extendWith": []}},
        {"modulate": {"lightness": 500}},
        {"linear": [1, 2]},
        {"recomb": [[1, 0, 0]]},
        {"threshold": 256},
        {"rotate": True},
        {"flip": 3},
        {"convolve": {"width": 2, "height": 2, "kernel": [1, 1, 1, 1]}},
        {"convolve": {"width": 3, "height": 3, "kernel": [1] * 9, "offset": 300}},
        [],
    ],
)
def test_edits_that_are_refused(edits: Any) -> None:
    assert problems(encoded({"key": "a.jpg", "edits": edits}))


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (base64.b64encode(b'{"key": 3}').decode(), ""),
        (encoded({"edits": {}}), ""),
        (encoded({"key": "a.jpg", "bucket": 3}), ""),
        (encoded({"key": "a.jpg", "headers": {"Cache-Control": "no-store"}}), ""),
        (encoded({"key": "../a.jpg"}), ""),
        (base64.b64encode(b'{"key": NaN}').decode(), ""),
        (base64.b64encode(b'{"a":' + b"[" * 5000).decode(), ""),
        (base64.b64encode(b'{"a":' + b"9" * 5000 + b"}").decode(), ""),
        (base64.b64encode(b'{"a":"' + b"x" * 9000).decode(), ""),
        ("9x9/a.jpg", "width=x"),
        ("9x9/a.jpg", "width=1&width=2"),
        ("9x9/a.jpg", "format=raw"),
        ("9x9/a.jpg", "rotate=x"),
        ("9x9/a.jpg", "a=%FF"),
        ("9x9/%FF.jpg", ""),
        ("30x20:10x50/a.jpg", ""),
        ("filters:rgb(1,2)/a.jpg", ""),
        ("filters:smart_crop(1,2)/a.jpg", ""),
    ],
)
def test_unsupported_operations_are_rejected(path: str, query: str) -> None:
    assert problems(path, query)


def test_lenient_ignores_unsupported_operations() -> None:
    edits = {"contentModeration": True, "smartCrop": {"padding": 3}, "affine": 1, "grayscale": True}
    assert edited(edits, LENIENT).values == {"steps": (GREY,), "gravity": Gravity.FACES}
    with pytest.raises(InvalidRequest):
        edited({"blur": "much"}, LENIENT)


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SignatureMismatch("m"), "SignatureDoesNotMatch"),
        (SignatureMissing("m"), "AuthorizationQueryParametersError"),
        (SignatureExpired("m"), "ImageRequestExpired"),
        (BucketNotAllowed("m"), "ImageBucket::CannotAccessBucket"),
        (NotFound("m"), "NoSuchKey"),
        (InvalidRequest.one("resize.width", "a number", "x"), "RequestTypeError"),
        (InvalidRequest.one("expires", "a time", "x"), "ImageRequestExpiryFormat"),
        (InvalidRequest.one("the path", "base64", "x"), "DecodeRequest::CannotDecodeRequest"),
    ],
)
def test_errors_have_the_codes_of_dit(error: ImageProcessorError, code: str) -> None:
    media_type, text = OPEN.error_body(403, error.code, str(error)) or ("", "")
    assert media_type == "application/json"
    assert json.loads(text) == {"status": 403, "code": code, "message": str(error)}


def test_other_error_codes_stay_unchanged() -> None:
    assert json.loads((OPEN.error_body(503, "overloaded", "m") or ("", ""))[1])["code"] == "overloaded"
    assert set(ERROR_CODES) <= {kind.code for kind in _all(ImageProcessorError)}


def _all(kind: type[ImageProcessorError]) -> list[type[ImageProcessorError]]:
    return [kind, *(one for sub in kind.__subclasses__() for one in _all(sub))]


def test_repr_hides_the_secret() -> None:
    assert "secret'" not in repr(SIGNED)


# Properties ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
OPTIONS = """width height fit position background ratio left top sigma brightness quality effort key bucket
options alpha wRatio kernel threshold extendWith r g b gravity blend tile chromaSubsampling"""
EDITS = """resize extract crop rotate flip flop grayscale tint blur sharpen median gamma negate normalize
flatten extend trim modulate jpeg png webp avif gif tiff toFormat overlayWith smartCrop roundCrop animated
convolve contentModeration"""
OF_EDIT = st.dictionaries(st.sampled_from(OPTIONS.split()), VALUES, max_size=4)


@given(
    st.dictionaries(st.sampled_from(EDITS.split()), VALUES | OF_EDIT, max_size=5),
    st.booleans(),
)
def test_arbitrary_edits_raise_expected_errors_only(edits: dict[str, Any], lenient: Any) -> None:
    dialect = Dit(lenient=lenient)
    try:
        asked = edited(edits, dialect)
    except (Invalid, Forbidden):
        return
    Transformation(**asked.values)


@given(st.text(max_size=60), st.text(max_size=30))
@example("eyJ\ud800", "")
@example("9x9/a.jpg", "a=\ud800")
@example("9x9/filters:blur(\ud800)/a.jpg", "")
@example("eyJ=", "")
def test_arbitrary_text_raises_expected_errors_only(path: str, query: str) -> None:
    for dialect in (OPEN, SIGNED, LENIENT):
        for one in (path, f"eyJ{path}", f"9x9/{path}", f"filters:{path}"):
            for more in (query, f"signature={query}", f"expires={query}"):
                dialect.matches(one, more)
                with contextlib.suppress(Invalid, Forbidden):
                    assert dialect.parse(one, more, now=NOW).key


@given(
    st.integers(1, 16383),
    st.integers(1, 16383),
    st.sampled_from([fit for fit in Fit if fit is not Fit.FILL_DOWN]),
    st.integers(1, 100),
    st.integers(0, 359),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
)
def test_known_urls_are_parsed_as_expected(
    width: int, height: int, fit: Fit, blur: int, rotate: int, name: str
) -> None:
    key = "k/" + name.replace("..", "__")
    edits = {
        "resize": {"width": width, "height": height, "fit": fit, "background": "red"},
        "blur": blur,
        "rotate": rotate,
    }
    expected = {"width": width, "height": height, "fit": fit, "enlarge": True}
    if fit is Fit.CONTAIN:
        expected["background"] = RED
    asked = ask(encoded({"key": key, "edits": edits}))
    assert asked.key == key
    if rotate:
        turned = Step("rotate", (rotate,) if rotate % 90 == 0 else (rotate, BLACK))
        got = fields(asked)
        assert got.get("rotate") == rotate or turned in got["steps"]
    elif fit is Fit.CONTAIN:  # the bars are not blurred
        assert fields(asked) == {**expected, "steps": (Step("blur", blur),)}
    else:
        assert fields(asked) == {**expected, "blur": blur}
