"""The order of DIT's edits: which become fields and which steps, for which original; and pixels of some."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import peer_urls
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from image_processor.delivery.dialects.dit import Dit
from image_processor.domain.errors import InvalidRequest
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import BLACK, Colour, Edge, Fit, Flip, ImageOverlay, Step

PHOTO = ImageMetadata(480, 320, "jpeg", 1, False, 1, "")
CUTOUT = ImageMetadata(200, 100, "png", 1, True, 1, "")
MOVING = ImageMetadata(480, 320, "gif", 2, False, 1, "")
RED = Colour(255, 0, 0)
GREY = Step("lch", (1, 0, 0, 0))
AREA = {"left": 10, "top": 20, "width": 200, "height": 150}


def encoded(edits: dict[str, Any], key: str = "photo.jpg", **more: Any) -> str:
    request = {"key": key, "edits": edits, **more}
    return base64.b64encode(json.dumps(request).encode()).decode()


def fields(edits: dict[str, Any], original: ImageMetadata = PHOTO) -> dict[str, Any]:
    request = Dit(unsafe=True).parse(encoded(edits), "", now=0)
    if request.geometry is None:
        return dict(request.values)
    return dict(request.geometry.apply(request.values, original, request.format))


def steps(edits: dict[str, Any], original: ImageMetadata = PHOTO) -> list[str]:
    return [str(step) for step in fields(edits, original).get("steps", ())]


# Fields as long as our order is sharp's ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "named", "then"),
    [
        # Ours: tint, negate, median, blur, sharpen, convolve. sharp tints and negates last.
        ({"blur": 3, "median": 5}, {"median": 5, "blur": 3}, []),
        ({"sharpen": 2, "blur": 3}, {"blur": 3, "sharpen": (2, 1)}, []),
        ({"convolve": {"width": 3, "height": 3, "kernel": [1] * 9}, "sharpen": 2}, {"convolve": (1,) * 9},
         ["sharp:2:1"]),
        ({"tint": "#ff0000", "blur": 3}, {"blur": 3}, ["tint:ff0000"]),
        ({"negate": True, "tint": "#ff0000"}, {"tint": RED, "negate": True}, []),
        ({"threshold": 90, "blur": 3}, {}, ["threshold:90", "blur:3"]),
        ({"blur": 3, "extend": {"top": 9, "background": "red"}},
         {"padding": (9, 0, 0, 0), "edge": Edge.BACKGROUND, "background": RED}, ["blur:3"]),
        ({"linear": 2, "modulate": {"hue": 9}}, {}, ["lch:1:1:9:0", "linear:2:0"]),
        # Grey before all; what has no colour is not tinted.
        ({"tint": "#ff0000", "grayscale": True}, {}, ["lch:1:0:0:0"]),
        ({"tint": "#ff0000", "grayscale": True, "recomb": [[1, 0, 0]] * 3}, {},
         ["lch:1:0:0:0", "matrix:1:0:0:1:0:0:1:0:0", "tint:ff0000"]),
        ({"extend": {"top": 9, "background": "red"}, "grayscale": True},
         {"padding": (9, 0, 0, 0), "edge": Edge.BACKGROUND, "background": Colour(54, 54, 54)}, [str(GREY)]),
        ({"gamma": 2.2, "blur": 3}, {"blur": 3}, []),
    ],
)  # fmt: skip
def test_fields_come_before_steps(edits: dict[str, Any], named: dict[str, Any], then: list[str]) -> None:
    got = fields(edits)
    assert [str(step) for step in got.pop("steps", ())] == then
    assert got == named


def test_only_what_depends_on_the_original_waits_for_it() -> None:
    def waits(edits: dict[str, Any]) -> bool:
        return Dit().parse(encoded(edits), "", now=0).geometry is not None

    assert not waits({"resize": {"width": 9, "height": 9}, "blur": 3, "grayscale": True, "flip": True})
    assert not waits({"overlayWith": {"key": "a.png", "wRatio": 20, "options": {"left": "9p", "top": 3}}})
    assert waits({"rotate": 90})
    assert waits({"crop": AREA})
    assert waits({"roundCrop": True})
    assert waits({"resize": {"width": 9, "fit": "fill"}})


# Turns, crops and the resize ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "named", "then"),
    [
        ({"rotate": 90, "resize": {"width": 100}}, {"rotate": 90, "width": 100}, []),
        ({"resize": {"width": 100}, "rotate": 90}, {"width": 100}, ["rotate:90"]),
        ({"resize": {"width": 100}, "rotate": 180}, {"width": 100, "rotate": 180}, []),
        # The region of the turned image: 20 from its left are the last rows of the original.
        ({"rotate": 90, "crop": AREA}, {"rotate": 90, "region": (20, 110, 150, 200)}, []),
        ({"crop": AREA, "rotate": 90}, {"rotate": 90, "region": (10, 20, 200, 150)}, []),
        ({"crop": AREA, "rotate": 90, "resize": {"width": 100}},
         {"rotate": 90, "region": (20, 110, 150, 200), "width": 100}, []),
        ({"resize": {"width": 300}, "crop": AREA}, {"width": 300}, ["crop:10:20:200:150"]),
        ({"extract": AREA, "crop": {**AREA, "width": 9, "height": 9}}, {"region": (10, 20, 200, 150)},
         ["crop:10:20:9:9"]),
        ({"flop": True, "rotate": 90}, {"flip": Flip.HORIZONTAL, "rotate": 270}, []),
        # Another angle before the resize: only steps know its size.
        ({"rotate": 30, "resize": {"width": 100}}, {},
         ["rotate:30:000000", "crop:0:0:576:517", "resize:100:90"]),
        ({"resize": {"width": 100}, "rotate": 30}, {"width": 100}, ["rotate:30:000000", "crop:0:0:120:108"]),
        # sharp scales to cover 200 x 200, turns the 300 x 200 pixels, and crops then.
        ({"resize": {"width": 200, "height": 200}, "rotate": 90},
         {"width": 200, "height": 200, "fit": Fit.OUTSIDE}, ["rotate:90", "crop:0:50:200:200"]),
        ({"resize": {"width": 200, "height": 200, "position": "top"}, "rotate": 90},
         {"width": 200, "height": 200, "fit": Fit.OUTSIDE}, ["rotate:90", "crop:0:0:200:200"]),
        ({"resize": {"width": 300, "height": 200, "fit": "contain"}, "rotate": 90},
         {"width": 300, "height": 200, "fit": Fit.INSIDE}, ["rotate:90", "canvas:300:300:50:-50:000000"]),
        ({"resize": {"width": 100, "fit": "fill"}}, {"width": 100, "height": 320, "fit": Fit.FILL}, []),
    ],
)  # fmt: skip
def test_turns(edits: dict[str, Any], named: dict[str, Any], then: list[str]) -> None:
    got = fields(edits)
    assert [str(step) for step in got.pop("steps", ())] == then
    default = {"fit": Fit.COVER, "enlarge": True} if "width" in named else {}
    assert got == {**default, **named}


@pytest.mark.parametrize(
    "edits",
    [
        {"crop": {**AREA, "width": 480}},
        {"resize": {"width": 100}, "crop": AREA},
        {"rotate": 90, "crop": {"left": 0, "top": 0, "width": 321, "height": 9}},
    ],
)
def test_an_area_beyond_the_image_is_refused(edits: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="an area within"):
        fields(edits)


def test_animations_are_not_turned() -> None:
    edits = {"rotate": 90, "roundCrop": True, "resize": {"width": 100}}
    assert fields(edits, MOVING) == {"width": 100, "fit": Fit.COVER, "enlarge": True}
    assert fields({**edits, "animated": False}, MOVING)["rotate"] == 90
    late = {"roundCrop": True, "rotate": 90, "animated": False}
    assert steps(late, MOVING)[-1] == "rotate:90"


# New pixels around transparent images ------------------------------------------------------------------


def test_bars_are_not_seen_through_the_image() -> None:
    edits = {"resize": {"width": 200, "height": 200, "fit": "contain", "background": "red"}}
    box = {"width": 200, "height": 200, "enlarge": True}
    assert fields(edits) == {**box, "fit": Fit.CONTAIN, "background": RED}
    assert fields(edits, CUTOUT) == {
        **box,
        "fit": Fit.INSIDE,
        "steps": (Step("canvas", (200, 200, 0, 50, RED)),),
    }


def test_an_extension_is_not_seen_through_the_image() -> None:
    assert steps({"extend": {"left": 9, "background": "red"}}, CUTOUT) == ["canvas:209:100:9:0:ff0000"]
    assert fields({"extend": {"left": 9, "extendWith": "copy"}}) == {
        "padding": (0, 0, 0, 9),
        "edge": Edge.COPY,
        "background": BLACK,  # nothing is transparent, so a JPEG stays one
    }
    assert "background" not in fields({"extend": {"left": 9, "extendWith": "copy"}}, CUTOUT)


def test_a_circle_of_a_png_is_transparent_outside() -> None:
    edits = {"roundCrop": {"left": 50, "top": 40, "rx": 60, "ry": 20}}
    assert steps(edits, CUTOUT) == ["ellipse:50:40:60:20", "crop:0:20:110:40"]
    assert fields(edits)["background"] == BLACK
    assert steps({**edits, "resize": {"width": 55}}, CUTOUT)[2:] == ["resize:55:20"]


def test_a_watermark_before_the_resize_has_the_originals_size() -> None:
    edits = {"overlayWith": {"key": "a.png", "wRatio": 50, "options": {"left": "25p", "top": "-9"}}}
    (overlay,) = fields({**edits, "resize": {"width": 100}})["overlays"]
    assert isinstance(overlay, ImageOverlay)
    assert (overlay.width, overlay.x, overlay.y) == (240, 120, 9)


# What DIT does not know, and what it refuses -----------------------------------------------------------


def test_unknown_edits_are_ignored() -> None:
    assert fields({"toFile": "x", "composite": [], "unheard": 3, "blur": 2}) == {"blur": 2}


@pytest.mark.parametrize(
    "edits",
    [
        {"contentModeration": True},
        {"smartCrop": {"faceIndex": 1}},
        {"affine": [[1, 0], [0, 1]]},
        {"clahe": {"width": 3, "height": 3}},
        {"extractChannel": "alpha"},
        {"toColourspace": "lab"},
    ],
)
def test_unsupported_edits_are_refused_by_name_if_all_is_allowed(edits: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(edits))):
        Dit(unsafe=True).parse(encoded(edits), "", now=0)


def test_the_max_age_of_headers_is_used() -> None:
    path = encoded({}, headers={"Cache-Control": "public, max-age=60"})
    assert Dit(unsafe=True).parse(path, "", now=0).max_age == 60
    with pytest.raises(InvalidRequest, match="Set-Cookie"):
        Dit(unsafe=True).parse(encoded({}, headers={"Set-Cookie": "a=b"}), "", now=0)


# Pixels ------------------------------------------------------------------------------------------------


def bars(image: Image.Image, side: int, colour: str) -> Image.Image:
    result = Image.new("RGB", (side, side), colour)
    result.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return result


def circle(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((50, 0, 149, 99), fill=255)
    black = Image.new("RGB", image.size)
    black.paste(image, (0, 0), mask)
    return black.crop((50, 0, 150, 100))


def lightness(image: Image.Image) -> Image.Image:
    """Grey by the luminance of linear light (IEC 61966-2-1)."""
    share = np.asarray(image, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    encoded_ = np.where(luminance <= 0.0031308, luminance * 12.92, 1.055 * luminance ** (1 / 2.4) - 0.055)
    return Image.fromarray((encoded_ * 255).round().astype(np.uint8)).convert("RGB")


def shrunk(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.LANCZOS)


# Edits of the drawn PNG of 200 x 100 pixels, and the same with Pillow.
PIXELS: dict[str, tuple[dict[str, Any], Callable[[Image.Image], Image.Image]]] = {
    "a crop of the turned": (
        {"rotate": 90, "crop": {"left": 10, "top": 50, "width": 60, "height": 90}},
        lambda im: im.rotate(-90, expand=True).crop((10, 50, 70, 140)),
    ),
    "a crop of the resized": (
        {"resize": {"width": 100}, "crop": {"left": 10, "top": 5, "width": 60, "height": 40}},
        lambda im: shrunk(im, 100, 50).crop((10, 5, 70, 45)),
    ),
    "a turn between scale and crop": (
        {"resize": {"width": 50, "height": 50}, "rotate": 90},
        lambda im: shrunk(im, 100, 50).rotate(-90, expand=True).crop((0, 25, 50, 75)),
    ),
    "flip, then turn": (
        {"rotate": 90, "flop": True},
        lambda im: ImageOps.mirror(im).rotate(-90, expand=True),
    ),
    "bars, then blur": (
        {"resize": {"width": 100, "height": 100, "fit": "contain", "background": "red"}, "blur": 4},
        lambda im: bars(shrunk(im, 100, 50), 100, "red").filter(ImageFilter.GaussianBlur(4)),
    ),
    "grey, whose bars are grey": (
        {"grayscale": True},
        lightness,
    ),
    "negate last": (
        {"negate": True, "extend": {"top": 20, "background": "red"}},
        lambda im: ImageOps.invert(ImageOps.expand(im, (0, 20, 0, 0), "red")),
    ),
    "a channel": (
        {"extractChannel": "green"},
        lambda im: im.getchannel("G").convert("RGB"),
    ),
    "gamma alone": ({"gamma": 2.2}, lambda im: im),
}  # fmt: skip


@pytest.mark.parametrize("name", PIXELS)
def test_pixels(name: str) -> None:
    edits, expected = PIXELS[name]
    target = expected(Image.open(io.BytesIO(peer_urls.original("geometry.png"))).convert("RGB"))
    got = peer_urls.picture("dit", encoded(edits, "geometry.png")).convert("RGB")
    assert got.size == target.size
    assert psnr(got, target) >= 30


def test_a_circle_of_a_jpeg_is_a_jpeg_with_black_corners() -> None:
    got = peer_urls.picture("dit", encoded({"roundCrop": True}, "geometry.png", outputFormat="jpeg"))
    assert got.format == "JPEG"
    photo = peer_urls.picture("dit", encoded({"roundCrop": True}))
    assert photo.format == "JPEG"
    assert max(photo.convert("RGB").getpixel((3, 3))) < 20  # type: ignore[arg-type]  # three bands


def test_a_free_angle_keeps_the_format() -> None:
    got = peer_urls.picture("dit", encoded({"rotate": 30}))
    assert (got.format, got.size) == ("JPEG", (576, 517))
    assert max(got.convert("RGB").getpixel((3, 3))) < 20  # type: ignore[arg-type]  # three bands


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = float(((np.asarray(one, dtype=float) - np.asarray(other, dtype=float)) ** 2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))
