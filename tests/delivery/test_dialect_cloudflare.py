"""Cloudflare URLs: the documented options, what is refused, and that nothing is signed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.delivery.dialects.cloudflare import Cloudflare
from image_processor.delivery.request import RenditionRequest
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import Forbidden, Invalid, InvalidRequest
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import WHITE, Colour, Fit, Flip, Gravity, Transformation

DIALECT = Cloudflare(buckets=frozenset({"photos"}))


def ask(options: str, key: str = "a.jpg", dialect: Cloudflare = DIALECT) -> RenditionRequest:
    return dialect.parse(f"cdn-cgi/image/{options}/{key}", "", now=0)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ("width=80,quality=75", {"width": 80, "quality": 75, "fit": Fit.INSIDE}),
        ("w=80,h=60,fit=scale-down", {"width": 80, "height": 60, "fit": Fit.INSIDE}),
        ("w=80,h=60,fit=contain", {"width": 80, "height": 60, "fit": Fit.INSIDE, "enlarge": True}),
        ("w=80,h=60,fit=cover", {"width": 80, "height": 60, "fit": Fit.COVER, "enlarge": True}),
        ("w=80,h=60,fit=crop", {"width": 80, "height": 60, "fit": Fit.COVER}),
        ("w=80,h=60,fit=squeeze", {"width": 80, "height": 60, "fit": Fit.FILL, "enlarge": True}),
        (
            "background=%23ff8800,w=80,h=60,fit=pad",
            {
                "width": 80,
                "height": 60,
                "fit": Fit.CONTAIN,
                "enlarge": True,
                "background": Colour(255, 136, 0),
            },
        ),
        (
            "w=80,h=60,fit=pad",
            {"width": 80, "height": 60, "fit": Fit.CONTAIN, "enlarge": True, "background": WHITE},
        ),
        ("gravity=auto", {"gravity": Gravity.ATTENTION}),
        ("g=face", {"gravity": Gravity.FACES}),
        ("gravity=left", {"gravity": Gravity.WEST}),
        ("gravity=0.5x0.2", {"focal_point": (0.5, 0.2)}),
        ("blur=50", {"blur": 50}),
        ("brightness=0.5,contrast=1.5,saturation=0", {"brightness": -50, "contrast": 50, "saturation": -100}),
        ("gamma=0.5,sharpen=3", {"gamma": 0.5, "sharpen": (1, 3)}),
        ("rotate=90,flip=hv", {"rotate": 90, "flip": Flip.BOTH}),
        ("q=high,anim=false", {"quality": 90, "frame": 1}),
        ("dpr=2", {"dpr": 2}),
        ("metadata=keep,onerror=redirect,compression=fast", {}),
    ],
)
def test_options(options: str, values: dict[str, Any]) -> None:
    assert ask(options) == RenditionRequest("a.jpg", values)
    Transformation(**ask(options).values)


def test_formats_and_keys() -> None:
    assert ask("format=auto").format == AUTO
    assert ask("f=webp").format == "webp"
    assert ask("format=baseline-jpeg").format == "jpeg"
    assert ask("w=1", "photos/a%20b.jpg").key == "photos/a b.jpg"
    assert ask("w=1", "s3://photos/a.jpg").key == "a.jpg"
    assert not ask("w=1").signed


def test_matches() -> None:
    assert DIALECT.matches("cdn-cgi/image/w=1/a.jpg", "")
    assert not DIALECT.matches("photos/cdn-cgi/image/w=1/a.jpg", "")


@pytest.mark.parametrize(
    ("options", "region"),
    [
        ("trim=20;30;10;5", (5, 20, 445, 290)),
        ("trim.top=20,trim.left=5", (5, 20, 475, 300)),
        ("trim.left=5,trim.width=100,trim.height=9999", (5, 0, 100, 320)),
        ("trim=1;1;1;1,dpr=2", (2, 2, 476, 316)),
    ],
)
def test_trim_cuts_the_original(options: str, region: tuple[int, ...]) -> None:
    request = ask(options)
    assert request.geometry is not None
    original = ImageMetadata(480, 320, "jpeg", 1, False, 1, "")
    assert request.geometry.apply(request.values, original, None)["region"] == region


def test_trim_may_not_cut_all_and_may_find_a_border() -> None:
    geometry = ask("trim=0;400;0;80").geometry
    assert geometry is not None
    with pytest.raises(InvalidRequest, match="less than an original of 480 x 320 pixels"):
        geometry.apply({}, ImageMetadata(480, 320, "jpeg", 1, False, 1, ""), None)
    assert ask("trim=border").values == {"trim": 10}
    assert ask("trim=0;0;0;0").geometry is None


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("w=0", "a.jpg"),
        ("w=auto", "a.jpg"),
        ("fit=fill", "a.jpg"),
        ("gravity=2x2", "a.jpg"),
        ("quality=101", "a.jpg"),
        ("format=json", "a.jpg"),
        ("rotate=45", "a.jpg"),
        ("background=%FF", "a.jpg"),
        ("draw=1", "a.jpg"),
        ("trim=20", "a.jpg"),
        ("trim=1;2;3;x", "a.jpg"),
        ("trim.middle=1", "a.jpg"),
        ("w=1", "https://other/a.jpg"),
        ("w=1", "%FF"),
        ("w=1", ""),
    ],
)
def test_what_is_refused(options: str, key: str) -> None:
    with pytest.raises(InvalidRequest):
        ask(options, key)


def test_lenient_ignores_unknown_options() -> None:
    assert ask("draw=1,w=3", dialect=Cloudflare(lenient=True)).values == {"width": 3, "fit": Fit.INSIDE}


@given(st.text(max_size=60))
def test_arbitrary_text_raises_expected_errors_only(text: str) -> None:
    with contextlib.suppress(Invalid, Forbidden):
        assert DIALECT.parse(f"cdn-cgi/image/{text}", "", now=0).key
