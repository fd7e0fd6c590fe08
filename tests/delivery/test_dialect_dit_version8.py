"""Query parameters of DIT's version 8: which URLs have them, and what they become."""

from __future__ import annotations

from typing import Any

import pytest

from image_processor.delivery.dialects.dit import Dit
from image_processor.delivery.dialects.dit.version8 import OPTIONS, SCHEMAS
from image_processor.delivery.request import RenditionRequest
from image_processor.domain.errors import BucketNotAllowed, InvalidRequest
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import (
    BLACK,
    Colour,
    Fit,
    Gravity,
    ImageOverlay,
    OverlayFit,
    RelativeLength,
    Step,
)

OPEN = Dit(unsafe=True, buckets=frozenset({"example.com=logos/"}))
ORIGINAL = ImageMetadata(480, 320, "jpeg", 1, False, 1, "")
GREY = Step("lch", (1, 0, 0, 0))
WIDE = {"width": 300, "fit": Fit.COVER, "enlarge": True}


def ask(query: str, path: str = "a.jpg") -> RenditionRequest:
    return OPEN.parse(path, query, now=0)


def fields(query: str) -> dict[str, Any]:
    request = ask(query)
    if request.geometry is None:
        return dict(request.values)
    return dict(request.geometry.apply(request.values, ORIGINAL, request.format))


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("resize.width=300", WIDE),
        ("resize[width]=300", WIDE),
        ("resize%5Bwidth%5D=300", WIDE),
        (
            "resize.width=300&resize[height]=200&resize.fit=inside",
            {**WIDE, "height": 200, "fit": Fit.INSIDE},
        ),
        ("resize.width=300&resize.withoutEnlargement=true", {**WIDE, "enlarge": False}),
        ("resize.ratio=0.5", {"zoom": 0.5, "enlarge": True}),
        (
            "resize.width=300&resize.height=300&resize.fit=contain&resize.background=[255,0,0,1]",
            {**WIDE, "height": 300, "fit": Fit.CONTAIN, "background": Colour(255, 0, 0)},
        ),
        # Without bars a background is nothing, whatever its alpha.
        ("resize.width=300&resize.background=[255,128,0,0.8]", WIDE),
        (
            "resize[width]=300&resize[background][]=255&resize[background][]=128&resize[background][]=0",
            WIDE,
        ),
        ("blur=5&resize.width=300", {**WIDE, "blur": 5}),
        ("rotate=450&resize.width=300", {**WIDE, "steps": (Step("rotate", (90,)),)}),
        ("grayscale=true&quality=80", {"steps": (GREY,), "quality": 80}),
        ("extract=[10,20,110,70]", {"region": (10, 20, 100, 50)}),
        ("extract=10,20,110,70", {"region": (10, 20, 100, 50)}),
        ("resize.width=300&extract=[10,20,110,70]", {"region": (10, 20, 100, 50), **WIDE}),
        ("flatten=white", {"background": Colour(255, 255, 255)}),
        ("flatten=[255,0,0]", {"background": Colour(255, 0, 0)}),
        ("tint=%23ff0000", {"tint": Colour(255, 0, 0)}),
        ("normalize=true", {"steps": (Step("norm", (1, 99)),)}),
        ("sharpen.sigma=2&sharpen.m1=1", {"sharpen": (2, 1)}),
        ("sharpen=true", {"sharpen": (0.5, 1)}),
        (
            "convolve.width=3&convolve.height=3&convolve.kernel=[1,2,1,2,4,2,1,2,1]",
            {"convolve": (1, 2, 1, 2, 4, 2, 1, 2, 1)},
        ),
        ("smartCrop=true", {"gravity": Gravity.FACES}),
        ("stripExif=true&stripIcc=true", {}),
        ("animated=false&blur=1", {"frame": 1, "blur": 1}),
        # Refused by version 8's schemas, and then ignored.
        ("resize.width=5000", {}),
        ("resize.width=wide", {}),
        ("resize.fit=cover", {}),
        ("resize.width=300&resize.depth=3", {}),
        ("resize.width=300&quality=150&blur=2000", WIDE),
        ("extract=[10,20]", {}),
        ("extract=[-10,20,300,200]", {}),
        ("blur=", {}),
        ("tint=[300,0,0]", {}),
        ("sharpen.sigma=11", {}),
        # Parameters of neither version.
        ("resize.width=300&utm=3&invalid=param", WIDE),
        # The sizes of version 7 leave no place for version 8.
        ("width=300&blur=5", WIDE),
    ],
)
def test_parameters(query: str, values: dict[str, Any]) -> None:
    assert fields(query) == values


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_value_of_another_type_is_ignored(name: str) -> None:
    """Each transformation, and each option that any has, with each type of value."""
    options = sorted({option for options in OPTIONS.values() for option in options})
    for parameter in (name, *(f"{name}.{option}" for option in options)):
        for value in ("[]", "[a,b]", "[[1,2],[a]]", "a,b", "{}", "-1e9", "99999999999", "x" * 90, "null"):
            assert fields(f"resize.width=300&{parameter}={value}") is not None


def test_formats() -> None:
    assert ask("resize.width=300&format=jpg").format == "jpeg"
    assert ask("resize.width=300&format=webp").format == "webp"
    assert ask("resize.width=300&format=bmp").format is None


def test_the_source_of_a_watermark_is_an_origin() -> None:
    """Its offset from the top is first. With both ratios it is stretched."""
    for source in ("example.com/mark.png", "https://example.com/mark.png"):
        (overlay,) = fields(f"watermark=[{source},[10,-5p,0.2,0.3,0.4]]")["overlays"]
        assert overlay == ImageOverlay(
            image="logos/mark.png",
            gravity=Gravity.NORTHEAST,
            x=RelativeLength(0.05),
            y=10,
            width=RelativeLength(0.3),
            height=RelativeLength(0.4),
            fit=OverlayFit.FILL,
            opacity=80,
        )
    with pytest.raises(BucketNotAllowed):
        ask("watermark=[other.com/mark.png,[10,10,0,0.3,0.3]]")


def test_a_watermark_is_as_large_as_before_the_resize() -> None:
    """Version 8 places it, then resizes what is below it."""
    (overlay,) = fields("watermark=[example.com/mark.png,[10,50p,0,0.5,0.5]]&resize.width=300")["overlays"]
    assert (overlay.width, overlay.height, overlay.x, overlay.y) == (240, 160, 240, 10)


@pytest.mark.parametrize("query", ["smartCrop.index=1", "smartCrop.index=0&smartCrop.padding=9"])
def test_faces_that_are_chosen_are_refused(query: str) -> None:
    with pytest.raises(InvalidRequest, match="smartCrop"):
        ask(query)


def test_the_first_face_is_the_default() -> None:
    assert fields("smartCrop.index=0&smartCrop.padding=0") == {"gravity": Gravity.FACES}


def test_parameters_are_applied_on_top_of_a_path() -> None:
    request = ask("resize.width=300", "9x9/filters:background_color(000)/a.jpg")
    assert dict(request.values) == {**WIDE, "background": BLACK}


@pytest.mark.parametrize(
    ("query", "signed", "unsafe"),
    [
        ("resize.width=300", True, True),
        ("resize%5Bwidth%5D=300", True, True),
        ("sharpen.sigma=3", True, True),
        ("flop=true", True, True),
        ("quality=80&blur=3", False, True),
        ("extract=[1,2,3,4]", False, True),
        ("width=300&blur=3", False, False),  # one of our own
        ("resize.depth=3", False, False),
        ("modulate.hue=3", False, False),
    ],
)
def test_which_urls_match(query: str, *, signed: bool, unsafe: bool) -> None:
    assert bool(Dit(b"secret").matches("a.jpg", query)) is signed
    assert bool(OPEN.matches("a.jpg", query)) is unsafe
