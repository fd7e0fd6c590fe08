"""URLs of other products that mean a transformation: what there is an equivalent for, and that it is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.config.recipe import Recipe
from image_processor.delivery.inverse import INVERSES, equivalent, equivalents
from image_processor.delivery.translate import translate, translating_dialects
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.models import ImageMetadata
from image_processor.domain.transformation import Transformation, parse
from support.url_strategies import KEYS

ALL = translating_dialects(tuple(INVERSES), {}, ())
NO_PRESETS = Recipe({}, ())
THUMBOR, IMGPROXY, DIT = "thumbor", "imgproxy", "dit"


def original(width: int = 4000, height: int = 3000) -> ImageMetadata:
    return ImageMetadata(width, height, "jpeg", 1, False, 1, "")


@pytest.mark.parametrize(
    ("text", "dialects"),
    [
        ("fm=webp", {THUMBOR, IMGPROXY, DIT}),
        ("w=300,fm=avif", {THUMBOR, IMGPROXY, DIT}),
        ("w=300,h=200,g=attention,q=70,fm=webp", {THUMBOR, IMGPROXY, DIT}),
        ("w=300,h=200,g=northwest,enlarge=1,fm=webp", {THUMBOR, IMGPROXY, DIT}),
        ("w=300,h=200,fit=inside,fm=jpeg", {THUMBOR, IMGPROXY, DIT}),
        ("w=300,h=200,fit=outside,fm=png", {THUMBOR, DIT}),
        ("w=300,h=200,fit=fill,enlarge=1,fm=webp", {THUMBOR, IMGPROXY, DIT}),
        ("w=300,h=200,fit=contain,bg=ff0000,fm=jpeg", {IMGPROXY, DIT}),
        ("w=300,h=200,fp=0.3:0.4,fm=webp", {THUMBOR, IMGPROXY}),
        ("rot=90,w=300,h=100,g=north,fm=webp", {THUMBOR, IMGPROXY, DIT}),
        ("flip=h,w=300,fm=webp", {THUMBOR, IMGPROXY, DIT}),
        ("trim=10,w=300,fm=webp", {THUMBOR}),
        ("rect=10:20:300:200,w=100,fm=webp", {THUMBOR}),
        ("w=300,grey=1,fm=webp", {THUMBOR}),
        ("w=300,round=20,fm=webp", {THUMBOR}),
        ("w=300,blur=3,fm=webp", {IMGPROXY, DIT}),
        ("w=300,sharp=1.5,fm=webp", {IMGPROXY, DIT}),
        ("w=300,con=20,sat=-50,fm=webp", {IMGPROXY}),
        ("w=300,bri=20,fm=webp", {IMGPROXY}),
        ("w=300,bg=ffffff,pad=10,fm=webp", {IMGPROXY}),
        ("w=300,max-bytes=20000,soft=1,fm=webp", {THUMBOR, IMGPROXY}),
        ("w=300,neg=1,fm=png", {DIT}),
        ("w=300,lossless=1,fm=webp", {DIT}),
        ("w=300,duo=000000:ffffff,fm=webp", set()),
        ("w=300,max-bytes=20000,fm=webp", set()),
    ],
)
def test_what_has_an_equivalent(text: str, dialects: set[str]) -> None:
    assert set(equivalents("a b/cat.jpg", parse(text), original())) == dialects


def test_equivalents_are_written_as_their_products_write_them() -> None:
    found = equivalents("a b/cat.jpg", parse("w=300,h=200,g=attention,q=70,fm=jpeg"), original())
    assert found[THUMBOR] == (
        "/unsafe/300x200/smart/filters:no_upscale():quality(70):format(jpeg)/a%20b/cat.jpg"
    )
    assert found[IMGPROXY] == "/unsafe/rs:fill:300:200/g:sm/q:70/plain/a%20b/cat.jpg@jpg"
    assert found[DIT].startswith("/eyJ")


_SIDES = st.integers(1, 4000)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "w": _SIDES,
    "h": _SIDES,
    "fit": st.sampled_from(["cover", "contain", "inside", "outside", "fill", "fill-down"]),
    "g": st.sampled_from(["north", "southeast", "west", "attention", "entropy", "faces"]),
    "fp": st.sampled_from(["0.25:0.75", "0.3:0.4", "0:1"]),
    "gx": st.sampled_from(["10", "-5", "0.2"]),
    "enlarge": st.just(1),
    "rot": st.sampled_from(["90", "180", "270", "12.5"]),
    "flip": st.sampled_from(["h", "v", "hv"]),
    "trim": st.integers(0, 200),
    "rect": st.sampled_from(["0:0:10:10", "0.1:0.1:0.5:0.5"]),
    "bg": st.sampled_from(["ff0000", "00000080"]),
    "blur": st.sampled_from(["0.5", "3", "20.5"]),
    "sharp": st.sampled_from(["1", "1.5:2"]),
    "bri": st.integers(-100, 100),
    "con": st.integers(-100, 100),
    "sat": st.integers(-100, 100),
    "px": st.integers(2, 50),
    "grey": st.just(1),
    "neg": st.just(1),
    "round": st.sampled_from(["10", "1:2:3:4"]),
    "pad": st.sampled_from(["10", "1:2:3:4"]),
    "q": st.integers(1, 100),
    "max-bytes": st.integers(100, 100_000),
    "soft": st.just(1),
    "fm": st.sampled_from(["jpeg", "webp", "avif", "png"]),
}


@st.composite
def transformations(draw: Any) -> Transformation:
    names = draw(st.lists(st.sampled_from(sorted(_VALUES)), max_size=6, unique=True))
    try:
        return parse(",".join(f"{name}={draw(_VALUES[name])}" for name in names) or "fm=webp")
    except InvalidTransformation:  # some values do not go together
        return parse("w=100,fm=webp")


@given(transformations(), KEYS, st.integers(1, 5000), st.integers(1, 5000))
def test_an_equivalent_is_translated_back(
    transformation: Transformation, key: str, width: int, height: int
) -> None:
    image = original(width, height)
    for dialect, path in equivalents(key, transformation, image).items():
        back = translate(path, ALL, image, NO_PRESETS)
        assert (back.dialect, back.key, back.transformation) == (dialect, key, transformation)


@pytest.mark.parametrize(
    "path",
    [
        "/unsafe/300x200/smart/filters:format(webp):quality(77)/cat.jpg",
        "/unsafe/fit-in/300x200/filters:format(webp)/cat.jpg",
        "/unsafe/-300x-200/filters:format(png):background_color(ff0000)/cat.jpg",
        "/unsafe/rs:fill:300:200/g:no/el:1/q:70/plain/cat.jpg@webp",
        "/unsafe/w:300/rot:90/fl:1/br:20/plain/cat.jpg@webp",
        "/unsafe/rs:fit:300:200/ex:1/bg:ff0000/plain/cat.jpg@jpg",
    ],
)
def test_what_a_product_writes_has_an_equivalent_there(path: str) -> None:
    meaning = translate(path, ALL, original(), NO_PRESETS)
    again = equivalent(meaning.dialect, "cat.jpg", meaning.transformation, original())
    assert again is not None
    assert translate(again, ALL, original(), NO_PRESETS).transformation == meaning.transformation
