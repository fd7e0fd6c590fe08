"""Overlays: text and value are inverse, equal images are equal values, and every problem is
reported, in the text form and in TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from domain_strategies import COLOURS, is_legal
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.transformation.overlay import (
    MAX_TEXT_LENGTH,
    MAX_TEXT_SIZE,
    OVERLAY,
    TEXT_PARAMETERS,
    Align,
    Blend,
    ImageOverlay,
    Overlay,
    OverlayFit,
    TextOverlay,
    overlay_from,
    parse,
    table_of,
)
from image_processor.domain.transformation.parameter_table import Parameter, parameter_table, read_pairs
from image_processor.domain.transformation.values import (
    MAX_SIDE,
    SMART,
    Colour,
    Flip,
    Gravity,
    RelativeLength,
    in_pixels,
)

SHARES = st.integers(1, 1000).map(lambda part: RelativeLength(part / 1000))
SIDES = st.integers(1, MAX_SIDE) | SHARES
OFFSETS = st.integers(-MAX_SIDE, MAX_SIDE) | st.integers(-1000, 1000).map(
    lambda part: RelativeLength(part / 1000)
)
SHADOWS = st.integers(-100, 100) | st.integers(-1000, 1000).map(lambda part: RelativeLength(part / 1000))
PLACES: dict[str, st.SearchStrategy[Any]] = {
    "gravity": st.sampled_from([gravity for gravity in Gravity if gravity not in SMART]),
    "x": OFFSETS,
    "y": OFFSETS,
    "rotate": st.integers(-360_000, 360_000).map(lambda turn: turn / 1000) | st.integers(-360, 360),
    "opacity": st.integers(0, 100),
    "blend": st.sampled_from(Blend),
    "tile": st.booleans(),
    "gap": st.integers(0, MAX_SIDE) | SHARES | st.just(RelativeLength(0.0)),
    "spread": st.none() | st.sampled_from(Flip),
}
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
IMAGE_FIELDS = {
    "image": st.text(min_size=1, max_size=40).filter(is_legal),
    "width": st.none() | SIDES,
    "height": st.none() | SIDES,
    "zoom": st.integers(10, 100_000).map(lambda part: part / 1000),
    "fit": st.sampled_from(OverlayFit),
    "crop": PLACES["gravity"],
    **PLACES,
}
TEXT_FIELDS = {
    "text": st.lists(WORDS, min_size=1, max_size=3).map("\n".join).filter(str.strip),
    "size": st.integers(1, MAX_TEXT_SIZE) | SHARES,
    "font": st.sampled_from(
        ["sans", "DejaVu Sans Bold", "serif italic", "press start 2p", "noto sans-serif"]
    ),
    "colour": COLOURS,
    "width": SIDES,
    "align": st.sampled_from(Align),
    "spacing": st.integers(0, 3000).map(lambda part: part / 1000),
    "outline": st.integers(0, 20) | SHARES | st.just(RelativeLength(0.0)),
    "outline_colour": COLOURS,
    "shadow": st.none() | COLOURS,
    "shadow_x": SHADOWS,
    "shadow_y": SHADOWS,
    "shadow_blur": st.integers(0, 100) | SHARES | st.just(RelativeLength(0.0)),
    **PLACES,
}
OVERLAYS = st.builds(ImageOverlay, **IMAGE_FIELDS) | st.builds(TextOverlay, **TEXT_FIELDS)


def problems_of(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(InvalidTransformation) as caught:
        call()
    return [str(problem) for problem in caught.value.problems]


@given(OVERLAYS)
def test_parse_and_text_are_inverse(overlay: Overlay) -> None:
    assert parse(str(overlay)) == overlay
    assert OVERLAY.read(OVERLAY.show(overlay)) == overlay
    assert OVERLAY.is_valid(overlay)


@given(OVERLAYS)
def test_the_text_fits_into_a_transformation_and_a_key(overlay: Overlay) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert set(str(overlay)) <= set(letters + letters.upper() + "0123456789_.-~:;")


@given(OVERLAYS, st.randoms())
def test_any_order_is_read(overlay: Overlay, random: Any) -> None:
    pairs = str(overlay).split(";")
    random.shuffle(pairs)
    assert parse(";".join(pairs)) == overlay


@given(st.text() | st.text("imagetxsw:;~20.-\n"))
def test_parsing_any_text_never_crashes(text: str) -> None:
    try:
        overlay = parse(text)
    except InvalidTransformation:
        return
    assert parse(str(overlay)) == overlay


def test_the_canonical_texts_are_pinned() -> None:
    """They are part of the names of stored renditions and must not change."""
    mark = ImageOverlay(
        image="logos/mark.png",
        width=RelativeLength(0.2),
        height=40,
        gravity=Gravity.SOUTHEAST,
        x=10,
        y=-10,
        rotate=45,
        opacity=60,
        blend=Blend.MULTIPLY,
        tile=True,
        gap=RelativeLength(0.1),
    )
    assert str(mark) == (
        "image:logos~2fmark.png;w:0.2;h:40;g:southeast;x:10;y:-10;rotate:45;o:60;blend:multiply;tile:1;gap:0.1"
    )
    words = TextOverlay(
        text="A, b: c/d\né",
        size=48,
        font="Sans Bold",
        colour=Colour(255, 136, 0),
        width=RelativeLength(0.8),
        align=Align.CENTRE,
        spacing=0.5,
        shadow=Colour(0, 0, 0),
        shadow_x=2,
        shadow_y=2,
        shadow_blur=0,
    )
    assert str(words) == (
        "text:A~2c~20b~3a~20c~2fd~0a~c3~a9;size:48;font:sans~20bold;colour:ff8800;w:0.8;align:centre;"
        "spacing:0.5;shadow:000000;shadow-x:2;shadow-y:2;shadow-blur:0"
    )
    assert str(ImageOverlay(image="a")) == "image:a"
    assert str(TextOverlay(text="a")) == "text:a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("image:a;gap:20", "image:a"),
        ("image:a;tile:0;gap:0.5", "image:a"),
        ("image:a;tile:1;gap:0.0", "image:a;tile:1"),
        ("image:a;x:0.0;y:-0.0", "image:a"),
        ("image:a;rotate:360", "image:a"),
        ("image:a;rotate:-90", "image:a;rotate:270"),
        ("image:a;rotate:45.0", "image:a;rotate:45"),
        ("image:a;o:100;blend:over;g:centre", "image:a"),
        ("image:a;w:5;fit:fill", "image:a;w:5"),
        ("image:a;fit:scale-down", "image:a"),
        ("image:a;w:5;zoom:2", "image:a;w:5"),
        ("image:a;w:5;h:5;fit:fill;crop:north", "image:a;w:5;h:5;fit:fill"),
        ("text:a;outline:0;outline-colour:ff0000", "text:a"),
        ("text:a;outline:0.0", "text:a"),
        ("text:a;shadow-x:5;shadow-y:5;shadow-blur:9", "text:a"),
        ("text:a;shadow:000;shadow-x:0.0", "text:a;shadow:000000;shadow-x:0"),
        ("text:a;font:SANS;size:0.05;colour:fff;w:1.0;align:left;spacing:0", "text:a"),
        ("text:a~0d~0ab", "text:a~0ab"),
    ],
)
def test_values_without_effect_are_dropped(one: str, other: str) -> None:
    assert parse(one) == parse(other)
    assert str(parse(one)) == str(parse(other)) == other


@pytest.mark.parametrize(
    ("one", "other"),
    [("image:a;w:1", "image:a;w:1.0"), ("image:a;tile:1;gap:1", "image:a;tile:1"), ("text:a", "text:A")],
)
def test_values_with_an_effect_are_kept(one: str, other: str) -> None:
    assert parse(one) != parse(other)


EVERY_MISTAKE = (
    "text:a;size:0;font:sans~2012;colour:orange;w:0.0;align:middle;spacing:4;g:faces;x:20000;y:1e3;"
    "rotate:361;o:101;blend:plus;outline:21;outline-colour:x;shadow:1;shadow-x:101;shadow-y:q;shadow-blur:-1;tile:2;gap:-1;spread:x;zz:1;o"
)


def test_every_problem_of_a_text_is_reported() -> None:
    reported = problems_of(lambda: parse(EVERY_MISTAKE))
    assert len(reported) == EVERY_MISTAKE.count(";")
    named = {line.split(" for ")[-1].split(",")[0] for line in reported}
    assert named == {row.name for row in TEXT_PARAMETERS if row.name != "text"} | {"parameter"}
    assert "expected left | centre | right for align, got 'middle'" in reported
    assert "expected 0-3 sizes for spacing, got 4" in reported


@pytest.mark.parametrize("text", ["", "w:1", "g:north;o:5", "image", ";"])
def test_an_overlay_needs_an_image_or_a_text(text: str) -> None:
    reported = problems_of(lambda: parse(text))
    assert reported
    assert all("overlay" in line or "parameter" in line for line in reported)


def test_an_overlay_cannot_have_both() -> None:
    assert problems_of(lambda: parse("image:a;text:b")) == [
        "expected an image or a text for overlay, got both"
    ]


def test_problems_of_an_overlay_are_reported_with_those_of_the_transformation() -> None:
    """None is lost if `over` is one parameter of several."""
    rows = [Parameter("over", OVERLAY, field="overlays", default=(), repeatable=True)]
    _, problems = read_pairs("over=text:a;size:0;o:101,over=image:", rows, separator=",", equals="=")
    assert [problem.name for problem in problems] == ["size", "o", "image"]
    values, problems = read_pairs("over=text:a,over=image:b", rows, separator=",", equals="=")
    assert values == {"overlays": (TextOverlay(text="a"), ImageOverlay(image="b"))}
    assert not problems


@pytest.mark.parametrize("key", ["", "..", "a/../../b", "\0", "x" * 1025, "\ud800"])
def test_an_image_overlay_needs_a_valid_key(key: str) -> None:
    assert problems_of(lambda: ImageOverlay(image=key))


@pytest.mark.parametrize("text", ["", " \n ", "\t", "a\x07b", "x" * (MAX_TEXT_LENGTH + 1), "\ud800", 5, None])
def test_a_text_overlay_needs_visible_text(text: Any) -> None:
    assert problems_of(lambda: TextOverlay(text=text))


def test_a_text_may_have_the_maximum_length() -> None:
    assert len(TextOverlay(text="é" * MAX_TEXT_LENGTH).text) == MAX_TEXT_LENGTH


@pytest.mark.parametrize(
    "font",
    ["", "sans 12", "sans 12px", "12", "sans,serif", "sans @wght=900", "sans #liga", "a  b", " a", "é"],
)
def test_a_font_is_a_family_and_a_style(font: str) -> None:
    assert problems_of(lambda: TextOverlay(text="a", font=font))


@pytest.mark.parametrize(
    "fields",
    [
        {"gravity": "north"},
        {"gravity": Gravity.ENTROPY},
        {"opacity": True},
        {"x": 1.0},
        {"x": RelativeLength(0.12345)},
        {"width": RelativeLength(float("nan"))},
        {"rotate": float("inf")},
        {"blend": "over"},
        {"tile": 1},
        {"width": 0},
    ],
)
def test_no_value_without_a_text_can_be_made(fields: dict[str, Any]) -> None:
    assert problems_of(lambda: ImageOverlay(image="a", **fields))


def test_construction_reports_every_problem_by_field() -> None:
    reported = problems_of(lambda: TextOverlay(text="", size=0, shadow_x=999, font="1"))
    assert [line.split(" for ")[-1].split(",")[0] for line in reported] == [
        "text",
        "size",
        "font",
        "shadow_x",
    ]


def test_pixels_are_scaled_and_fractions_stay() -> None:
    mark = parse("image:a;w:3;h:0.5;x:-5;y:0;tile:1;gap:1")
    assert mark.scaled(1.5) == parse("image:a;w:5;h:0.5;x:-8;tile:1;gap:2")
    assert mark.scaled(0.1) == parse("image:a;w:1;h:0.5;x:-1;tile:1;gap:1")
    words = parse("text:a;size:20;w:100;spacing:0.5;shadow:000;shadow-x:1;shadow-y:-3;shadow-blur:0.2")
    assert words.scaled(2) == parse(
        "text:a;size:40;w:200;spacing:0.5;shadow:000;shadow-x:2;shadow-y:-6;shadow-blur:0.2"
    )


@given(OVERLAYS, st.floats(0.01, 8))
def test_a_scaled_overlay_is_valid_and_factor_one_changes_nothing(overlay: Overlay, ratio: float) -> None:
    assert overlay.scaled(1) == overlay
    scaled = overlay.scaled(ratio)
    assert parse(str(scaled)) == scaled


TABLE = """
text = "50% off & more"
size = 48
font = "Sans Bold"
colour = "#f80"
width = 0.8
align = "centre"
spacing = 0.5
gravity = "south"
x = 10
y = -0.1
rotate = 7.5
opacity = 60
blend = "hard-light"
shadow = "000000"
shadow_x = 2
shadow_y = 1.0
shadow_blur = 4
"""


def test_a_toml_table_equals_its_text() -> None:
    assert overlay_from(tomllib.loads(TABLE)) == parse(
        "text:50~25~20off~20~26~20more;size:48;font:sans~20bold;colour:ff8800;w:0.8;align:centre;spacing:0.5;"
        "g:south;x:10;y:-0.1;rotate:7.5;o:60;blend:hard-light;"
        "shadow:000;shadow-x:2;shadow-y:1.0;shadow-blur:4"
    )
    assert overlay_from({"image": "logos/mark.png", "tile": True, "gap": 5}) == parse(
        "image:logos~2fmark.png;tile:1;gap:5"
    )


@given(OVERLAYS)
def test_every_overlay_can_be_written_as_a_table(overlay: Overlay) -> None:
    def plain(value: Any) -> Any:
        return (
            value.of_side
            if isinstance(value, RelativeLength)
            else str(value)
            if isinstance(value, Colour)
            else value
        )

    fields = {row.field: plain(getattr(overlay, row.field)) for row in table_of(overlay)}
    assert overlay_from({field: value for field, value in fields.items() if value is not None}) == overlay


def test_every_problem_of_a_table_is_reported() -> None:
    table = {
        "text": 5,
        "size": "48",
        "font": None,
        "colour": 123456,
        "width": True,
        "align": "middle",
        "spacing": "0.5",
        "gravity": [],
        "x": 0.12345,
        "opacity": 60.5,
        "shadow": "red",
        "w": 1,
    }
    reported = problems_of(lambda: overlay_from(table))
    named = [line.split(" for ")[-1].split(",")[0] for line in reported]
    assert named == [*list(table)[:-1], "field"]


@pytest.mark.parametrize("table", [{}, {"width": 1}, {"image": "a", "text": "b"}])
def test_a_table_needs_an_image_or_a_text(table: dict[str, Any]) -> None:
    (reported,) = problems_of(lambda: overlay_from(table))
    assert reported.startswith("expected an image or a text for overlay, got ")


@pytest.mark.parametrize("class_", [ImageOverlay, TextOverlay])
def test_every_field_declares_its_parameter(class_: type[ImageOverlay] | type[TextOverlay]) -> None:
    table = parameter_table(class_)
    assert {row.field for row in table} == set(class_.__struct_fields__)
    assert len({row.name for row in table}) == len(table)


@pytest.mark.parametrize(("share", "pixels"), [(0.1, 10), (-0.1, -10), (0.5, 50), (-0.5, -49), (0.0, 0)])
def test_a_fraction_is_rounded_half_up_above_and_below_zero(share: float, pixels: int) -> None:
    assert in_pixels(RelativeLength(share), 99) == pixels
