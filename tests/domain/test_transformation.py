"""Transformations: text and value are inverse, the text is canonical, every problem is reported."""

from __future__ import annotations

from typing import Any

import pytest
from domain_strategies import COLOURS, FIELDS, LONGEST_NAME, TRANSFORMATIONS
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.transformation import (
    MAX_SIDE,
    PARAMETERS,
    SMART,
    Colour,
    Fit,
    Gravity,
    Transformation,
    is_rendition_name,
    parse,
    read_colour,
)

NAMES = [row.name for row in PARAMETERS]

# Texts similar enough to a transformation to reach every branch of the parser.
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
def test_the_name_is_valid_in_a_key_and_a_url(transformation: Transformation) -> None:
    assert set(transformation.name) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=,.:;~_-"
    )
    assert len(transformation.name) <= len(LONGEST_NAME)


@given(TRANSFORMATIONS, st.randoms())
def test_any_order_of_parameters_is_read(transformation: Transformation, random: Any) -> None:
    pairs = str(transformation).split(",")
    steps = iter([pair for pair in pairs if pair.startswith("then=")])
    random.shuffle(pairs)
    # Only the order of steps matters.
    shuffled = [next(steps) if pair.startswith("then=") else pair for pair in pairs]
    assert parse(",".join(shuffled)) == transformation


@given(TRANSFORMATIONS, st.data())
def test_a_field_without_effect_does_not_change_the_value(
    transformation: Transformation, data: st.DataObject
) -> None:
    """A field that the canonical text leaves out may be set to anything."""
    format_ = transformation.format
    idle = []
    if not transformation.boxed or transformation.fit in {Fit.FILL, Fit.INSIDE, Fit.OUTSIDE}:
        idle += ["gravity", "gravity_x", "gravity_y", "focal_point"]
    if transformation.gravity in SMART:
        idle += ["gravity_x", "gravity_y"]
    if FORMATS[format_].quality is None or transformation.lossless:
        idle += ["quality"]
    if not FORMATS[format_].animation:
        idle += ["frames"]
    if transformation.trim is None:
        idle += ["trim_colour"]
    if transformation.width is not None and transformation.height is not None:
        idle += ["ratio"]
    if transformation.ellipse:
        idle += ["round"]
    idle += {"progressive", "subsampling", "optimise", "effort", "lossless", "colours"} - FORMATS[
        format_
    ].encoder_options
    changes = {name: data.draw(FIELDS[name], label=name) for name in idle}
    assert structs.replace(transformation, **changes) == transformation


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
        ("w=100,dpr=2,pad=5:1:5:1,round=3,min-h=7", "w=200,pad=10:2,round=6,min-h=14"),
        ("w=9,h=9,dpr=2,gx=-3,g=west,blur=2,px=4", "w=18,h=18,g=west,gx=-6,blur=4,px=8"),
        ("fm=png,dpr=2", "fm=png"),
        ("w=100,zoom=1.5", "w=150"),
        ("zoom=2", ""),
        ("w=160,ar=32:18", "w=160,h=90"),
        ("h=90,ar=16:9", "w=160,h=90"),
        ("w=160,h=10,ar=16:9", "w=160,h=10"),
        ("ar=1.5", "ar=3:2"),
        ("ar=3:2,fit=inside", ""),
        ("rot=-90", "rot=270"),
        ("rot=360", ""),
        ("flip=hv", "rot=180"),
        ("flip=v,rot=180", "flip=h"),
        ("flip=h,rot=270.5", "flip=v,rot=90.5"),
        ("rect=0:0.0:1.0:1.0", ""),
        ("trim-bg=fff", ""),
        ("w=9,h=9,fp=0.5:0.500", "w=9,h=9"),
        ("w=9,h=9,fp=0.2:0.7,g=north,gx=4", "w=9,h=9,fp=0.2:0.7"),
        ("w=9,h=9,g=attention,gx=4", "w=9,h=9,g=attention"),
        ("w=9,h=9,fit=fill-down,enlarge=1", "w=9,h=9,enlarge=1"),
        ("min-w=5", ""),
        ("enlarge=1", ""),
        ("hue=360", ""),
        ("pad=0:0.0", ""),
        ("pad=1:2:1:2", "pad=1:2"),
        ("ellipse=1,round=4", "ellipse=1"),
        ("edge=mirror", ""),
        ("sharp=2:1", "sharp=2"),
        ("frame=1,fm=jpeg", "fm=jpeg"),
        ("frames=1,fm=gif", "frame=1,fm=gif"),
        ("frame=3,frames=5,fm=gif", "frame=3,fm=gif"),
        ("prog=1,fm=webp", "fm=webp"),
        ("lossless=1,q=40,fm=webp", "lossless=1,fm=webp"),
    ],
)
def test_texts_with_the_same_meaning_are_equal(one: str, other: str) -> None:
    assert parse(one or "fm=jpeg") == parse(other or "fm=jpeg")
    assert str(parse(one or "fm=jpeg")) == str(parse(other or "fm=jpeg"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("w=640,bg=ffffff,fm=png", "w=640,fm=png"),  # white instead of transparent
        ("w=9,h=9,g=north", "w=9,h=9"),
        ("w=9,h=9,fit=contain,g=north", "w=9,h=9,fit=contain"),
        ("w=9,h=9,g=attention", "w=9,h=9"),
        ("w=9,enlarge=1", "w=9"),
        ("w=9,q=80,fm=jpeg", "w=9,fm=jpeg"),
        ("ar=16:9", ""),
        ("ar=16:9,fit=contain,fm=png", "ar=16:9,fm=png"),
        ("zoom=2,enlarge=1", ""),
        ("min-w=5,enlarge=1", ""),
        ("w=9,h=9,g=west,gx=1", "w=9,h=9,g=west,gx=0.5"),
        ("rot=90,flip=h", "rot=90,flip=v"),
        ("frame=2,fm=jpeg", "fm=jpeg"),
        ("pad=1", "pad=1.0"),
        ("w=9", "h=9"),
    ],
)
def test_texts_with_different_results_are_different(one: str, other: str) -> None:
    assert parse(one) != parse(other or "fm=jpeg")
    assert parse(one).name != parse(other or "fm=jpeg").name


def test_the_canonical_text_is_pinned() -> None:
    """It names stored renditions: a change makes every stored rendition stale."""
    everything = Transformation(
        width=640,
        height=480,
        fit=Fit.CONTAIN,
        gravity=Gravity.NORTHEAST,
        background=Colour(255, 136, 0),
        enlarge=True,
        quality=50,
        format="avif",
    )
    assert everything.name == "w=640,h=480,fit=contain,g=northeast,bg=ff8800,enlarge=1,q=50,fm=avif.avif"
    assert Transformation(width=640).name == "w=640,fm=jpeg.jpg"
    assert Transformation().name == "fm=jpeg.jpg"


def test_every_error_is_reported_at_once() -> None:
    assert problems_of("w=0,q=250,fit=tile,bg=orange,enlarge=yes,zzz=1,fm=bmp") == [
        "expected a whole number of pixels from 1 to 16383 for w, got 0",
        "expected 1-100, or auto for q, got 250",
        "expected cover | contain | fill | inside | outside | fill-down for fit, got 'tile'",
        "expected a colour as RRGGBB for bg, got 'orange'",
        "expected 0 or 1 for enlarge, got 'yes'",
        "expected a name that docs/transformations.md lists for parameter, got 'zzz=1'",
        "expected jpeg | png | webp | avif | gif | tiff | apng | avifs for fm, got bmp",
    ]


def test_a_parameter_without_a_value_is_reported_as_written() -> None:
    assert problems_of("w") == [
        "expected a name that docs/transformations.md lists, such as w for parameter, got 'w'"
    ]


@pytest.mark.parametrize(
    ("name", "lowest", "highest"), [("w", 1, MAX_SIDE), ("h", 1, MAX_SIDE), ("q", 1, 100)]
)
def test_numbers_are_read_up_to_their_bounds(name: str, lowest: int, highest: int) -> None:
    assert parse(f"{name}={lowest}") != parse(f"{name}={highest}")
    assert problems_of(f"{name}={lowest - 1}")
    assert problems_of(f"{name}={highest + 1}")


@pytest.mark.parametrize("text", ["w=1,w=2", "w=2,w=x", "w=x,w=2"])
def test_a_repeated_parameter_is_invalid(text: str) -> None:
    assert "expected one value for w, got two" in problems_of(text)


@pytest.mark.parametrize("text", ["", "w", "=", "w=", ",w=1", "w=1,", "w=1;h=2", "w= 1", "w=1_0", "w=٣"])
def test_malformed_text_is_invalid(text: str) -> None:
    assert problems_of(text)


def test_construction_reports_every_problem_by_field() -> None:
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
def test_parsing_any_text_never_crashes(text: str) -> None:
    try:
        transformation = parse(text)
    except InvalidTransformation:
        return
    assert parse(str(transformation)) == transformation


@given(COLOURS)
def test_a_colour_and_its_text_are_inverse(colour: Colour) -> None:
    assert read_colour(str(colour)) == colour
    assert read_colour(f"#{colour}".upper()) == colour


@pytest.mark.parametrize("text", ["", "#", "ffff", "fffff", "fffffff", "##fff", "ggg", "fff\n", "٣٣٣"])
def test_an_invalid_colour_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\A"):
        read_colour(text)


@given(TRANSFORMATIONS)
def test_every_name_is_recognised_as_a_rendition(transformation: Transformation) -> None:
    assert is_rendition_name(transformation.name)


@pytest.mark.parametrize("name", ["w=640,zz=1,fm=jxl.jxl", "size=640x480,fm=jpeg.jpeg"])
def test_a_name_with_unknown_parameters_is_recognised_too(name: str) -> None:
    """So that renditions of an older or newer version can be deleted."""
    assert is_rendition_name(name)


@pytest.mark.parametrize(
    "name", ["", "cat.jpg", "notes,fm=jpeg.jpg", "fm=jpeg", "w=1,fm=jpeg.jpg/x", "w=1.jpg"]
)
def test_other_names_are_not_renditions(name: str) -> None:
    assert not is_rendition_name(name)


def test_a_long_text_becomes_a_short_unique_name() -> None:
    kernel = ":".join(["-0.125"] * 25)
    names = [parse(f"w={width},conv={kernel},trim=10,fm=webp").name for width in (640, 641)]
    assert names[0] != names[1]
    assert all(name.startswith("long=") and name.endswith(",fm=webp.webp") for name in names)
    assert all(is_rendition_name(name) and len(name) < 200 for name in names)
