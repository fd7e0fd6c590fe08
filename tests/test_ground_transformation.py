"""The transformation's value and its text: inverse, canonical, and honest about every mistake."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ground_strategies import COLOURS, FIELDS, TRANSFORMATIONS
from image_processor.errors import InvalidTransformation
from image_processor.formats import FORMATS, WRITABLE
from image_processor.transformation import (
    MAX_SIDE,
    PARAMETERS,
    Colour,
    Fit,
    Gravity,
    Transformation,
    is_rendition_name,
    parse,
    parse_name,
    read_colour,
)

NAMES = [row.name for row in PARAMETERS]

# Text that looks enough like a transformation to reach every branch of the parser.
_NEARLY = st.lists(
    st.tuples(
        st.sampled_from([*NAMES, "", "W", "quality"]),
        st.sampled_from(["=", "", "=="]),
        st.one_of(
            st.integers(-1, 20000).map(str),
            st.sampled_from([*Fit, *Gravity, *WRITABLE, "tiff", "1", "true", "#f80", "", "٣", "1\n"]),
            st.text(max_size=4),
        ),
    ).map("".join),
    max_size=5,
).map(",".join)


def problems_of(text: str) -> list[str]:
    with pytest.raises(InvalidTransformation) as caught:
        parse(text)
    return [str(problem) for problem in caught.value.problems]


@given(TRANSFORMATIONS)
def test_parse_and_text_are_inverse(transformation: Transformation) -> None:
    assert parse(str(transformation)) == transformation


@given(TRANSFORMATIONS)
def test_the_text_is_fit_for_a_key_and_a_url(transformation: Transformation) -> None:
    assert set(transformation.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789=,.")


@given(TRANSFORMATIONS, st.randoms())
def test_any_order_of_parameters_is_read(transformation: Transformation, random: Any) -> None:
    pairs = str(transformation).split(",")
    random.shuffle(pairs)
    assert parse(",".join(pairs)) == transformation


@given(TRANSFORMATIONS, st.data())
def test_a_field_that_cannot_change_the_picture_cannot_change_the_value(
    transformation: Transformation, data: st.DataObject
) -> None:
    """What the text leaves out of a normalised value stays out however the field was set."""
    idle = []
    if transformation.width is None or transformation.height is None:
        idle += ["fit", "gravity"]
    if transformation.width is None and transformation.height is None:
        idle += ["enlarge"]
    if transformation.fit in {Fit.FILL, Fit.INSIDE, Fit.OUTSIDE}:
        idle += ["gravity"]
    if FORMATS[transformation.format].quality is None:
        idle += ["quality"]
    changes = {name: data.draw(FIELDS[name], label=name) for name in idle}
    assert dataclasses.replace(transformation, **changes) == transformation


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("w=640,fm=jpeg", "w=640"),
        ("w=640,q=75,fm=jpeg", "w=640,fm=jpeg"),
        ("w=640,q=80,fm=webp", "w=640,fm=webp"),
        ("w=640,q=50,fm=png", "w=640,fm=png"),
        ("w=640,bg=ffffff,fm=jpeg", "w=640,fm=jpeg"),
        ("w=640,bg=FFF,fm=jpeg", "w=640,fm=jpeg"),
        ("w=640,bg=#f80,fm=png", "w=640,bg=ff8800,fm=png"),
        ("w=640,fit=inside,g=north", "w=640"),
        ("w=9,h=9,fit=contain,g=attention", "w=9,h=9,fit=contain"),
        ("w=9,h=9,fit=cover,g=centre,enlarge=0", "w=9,h=9"),
        ("w=9,enlarge=true", "w=9,enlarge=1"),
        ("w=0640", "w=640"),
    ],
)
def test_texts_that_mean_the_same_are_one_value(one: str, other: str) -> None:
    assert parse(one) == parse(other)
    assert str(parse(one)) == str(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("w=640,bg=ffffff,fm=png", "w=640,fm=png"),  # white instead of transparent
        ("w=9,h=9,g=north", "w=9,h=9"),
        ("w=9,h=9,fit=contain,g=north", "w=9,h=9,fit=contain"),
        ("w=9,h=9,g=attention", "w=9,h=9"),
        ("w=9,enlarge=1", "w=9"),
        ("w=9,q=80,fm=jpeg", "w=9,fm=jpeg"),
        ("w=9", "h=9"),
    ],
)
def test_texts_that_mean_different_pictures_are_different_values(one: str, other: str) -> None:
    assert parse(one) != parse(other)
    assert parse(one).name != parse(other).name


def test_the_canonical_text_is_pinned() -> None:
    """Names of stored renditions: a change here makes every stored rendition stale."""
    everything = Transformation(
        640, 480, Fit.CONTAIN, Gravity.NORTHEAST, Colour(255, 136, 0), True, 50, format="avif"
    )
    assert everything.name == "w=640,h=480,fit=contain,g=northeast,bg=ff8800,enlarge=1,q=50,fm=avif.avif"
    assert Transformation(width=640).name == "w=640,fm=jpeg.jpg"
    assert Transformation().name == "fm=jpeg.jpg"


def test_every_mistake_is_told_at_once() -> None:
    assert problems_of("w=0,q=250,fit=crop,bg=orange,enlarge=yes,x=1,fm=bmp") == [
        "expected a whole number of pixels from 1 to 16383 for w, got 0",
        "expected 1-100 for q, got 250",
        "expected cover | contain | fill | inside | outside for fit, got 'crop'",
        "expected a colour as RRGGBB for bg, got 'orange'",
        "expected 0 or 1 for enlarge, got 'yes'",
        "expected one of w, h, fit, g, bg, enlarge, q, fm for parameter, got 'x=1'",
        "expected jpeg | png | webp | avif | gif | tiff for fm, got bmp",
    ]


def test_a_parameter_without_a_value_is_told_as_it_was_written() -> None:
    assert problems_of("w") == ["expected one of w, h, fit, g, bg, enlarge, q, fm for parameter, got 'w'"]


@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("w", 1, MAX_SIDE), ("h", 1, MAX_SIDE), ("q", 1, 100)]
)
def test_numbers_are_read_up_to_their_bounds(name: str, lowest: int, highest: int) -> None:
    assert parse(f"{name}={lowest}") != parse(f"{name}={highest}")
    assert problems_of(f"{name}={lowest - 1}")
    assert problems_of(f"{name}={highest + 1}")


@pytest.mark.parametrize("text", ["w=1,w=2", "w=2,w=x", "w=x,w=2"])
def test_a_parameter_given_twice_is_a_mistake(text: str) -> None:
    assert "expected one value for w, got two" in problems_of(text)


@pytest.mark.parametrize("text", ["", "w", "=", "w=", ",w=1", "w=1,", "w=1;h=2", "w= 1", "w=1_0", "w=٣"])
def test_sloppy_text_is_refused(text: str) -> None:
    assert problems_of(text)


def test_construction_tells_every_mistake_by_field() -> None:
    with pytest.raises(InvalidTransformation) as caught:
        Transformation(width=0, height=MAX_SIDE + 1, quality=101, format="bmp")
    assert [problem.name for problem in caught.value.problems] == ["width", "height", "quality", "format"]


@pytest.mark.parametrize(
    "fields",
    [
        {"width": True},
        {"width": 1.0},
        {"fit": None},
        {"fit": "cover"},
        {"gravity": None},
        {"enlarge": None},
        {"enlarge": 1},
        {"format": None},
        {"background": "ffffff"},
        {"background": Colour(256, 0, 0)},
        {"background": Colour(0, -1, 0)},
    ],
)
def test_no_value_without_a_text_can_be_made(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidTransformation):
        Transformation(**fields)


@given(st.text() | _NEARLY)
@example("fm=")
@example("\ud800")
def test_any_text_is_read_or_refused_never_a_crash(text: str) -> None:
    try:
        transformation = parse(text)
    except InvalidTransformation:
        return
    assert parse(str(transformation)) == transformation


@given(TRANSFORMATIONS)
def test_a_canonical_name_is_read(transformation: Transformation) -> None:
    assert parse_name(transformation.name) == transformation


@given(TRANSFORMATIONS, _NEARLY, st.sampled_from([*WRITABLE, "jpg", "tif", ""]))
def test_only_the_canonical_name_is_read(transformation: Transformation, nearly: str, extension: str) -> None:
    for name in (f"{transformation}.{extension}", f"{nearly}.{extension}", nearly):
        read = parse_name(name)
        assert read is None or read.name == name


@pytest.mark.parametrize(
    "name",
    [
        "fm=jpeg,w=640.jpg",
        "w=0640,fm=jpeg.jpg",
        "w=640,q=75,fm=jpeg.jpg",
        "w=640,fm=jpeg.png",
        "w=640,fm=jpeg.jpg.jpg",
        "w=640,fm=jpeg",
        "w=640.jpg",
        "w=640,fm=jpeg.jpg\n",
        "cat.jpg",
        "",
    ],
)
def test_any_other_name_is_not_a_renditions(name: str) -> None:
    assert parse_name(name) is None


@given(COLOURS)
def test_a_colour_and_its_text_are_inverse(colour: Colour) -> None:
    assert read_colour(str(colour)) == colour
    assert read_colour(f"#{colour}".upper()) == colour


@pytest.mark.parametrize("text", ["", "#", "ffff", "fffff", "fffffff", "##fff", "ggg", "fff\n", "٣٣٣"])
def test_a_text_that_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A"):
        read_colour(text)


@given(TRANSFORMATIONS)
def test_every_name_is_known_as_this_programs_work(transformation: Transformation) -> None:
    assert is_rendition_name(transformation.name)


@pytest.mark.parametrize("name", ["w=640,zz=1,fm=jxl.jxl", "size=640x480,fm=jpeg.jpeg"])
def test_a_name_of_another_vocabulary_is_known_too(name: str) -> None:
    """So that renditions of an older or newer version can be swept."""
    assert parse_name(name) is None
    assert is_rendition_name(name)


@pytest.mark.parametrize(
    "name", ["", "cat.jpg", "notes,fm=jpeg.jpg", "fm=jpeg", "w=1,fm=jpeg.jpg/x", "w=1.jpg"]
)
def test_what_somebody_else_put_beside_is_not_this_programs_work(name: str) -> None:
    assert not is_rendition_name(name)
