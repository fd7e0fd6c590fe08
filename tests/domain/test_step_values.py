"""Steps (`then`): their text form, what is refused, sizes, and how `dpr` scales them."""

from __future__ import annotations

import pytest

from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.geometry import Size, sizes_after
from image_processor.domain.transformation import (
    MAX_STEPS,
    STEP_KINDS,
    ImageOverlay,
    Step,
    Transformation,
    parse,
    parse_step,
)


@pytest.mark.parametrize("name", STEP_KINDS)
def test_the_text_of_every_kind_can_be_read(name: str) -> None:
    text = STEP_KINDS[name].example
    step = parse_step(text)
    assert step.name == name
    assert str(step) == text


def test_an_overlay_is_a_step() -> None:
    step = parse_step("image:a~2fb.png;o:40")
    assert step.overlay == ImageOverlay(image="a/b.png", opacity=40)
    assert str(step) == "image:a~2fb.png;o:40"
    assert str(parse_step("o:40;image:a~2fb.png")) == str(step)


def test_steps_keep_their_order_and_may_repeat() -> None:
    text = "w=80,then=blur:2,then=grey:1,then=blur:2,fm=webp"
    assert str(parse(text)) == text
    assert str(parse("then=grey:1,then=blur:2,w=80,fm=webp")) != text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spin:1", "crop"),
        ("grey:0", "1"),
        ("blur:0.1", "0.3-250"),
        ("crop:1:2:3", "left:top:width:height"),
        ("crop:0:0:0:5", "left:top:width:height"),
        ("canvas:10:10:0", "width:height:left:top"),
        ("linear:1", "2 or 6 numbers"),
        ("matrix:1:2:3", "9 or 12 numbers"),
        ("conv:3:1:1:2", "odd sides"),
        ("conv:2:1:1:1:1:1", "odd sides"),
        ("median:4", "odd number"),
        ("image:;o:1", "a key"),
    ],
)
def test_a_wrong_step_says_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(InvalidTransformation, match=expected):
        Transformation(steps=(parse_step(text),))


def test_there_are_at_most_so_many_steps() -> None:
    step = parse_step("blur:1")
    assert Transformation(steps=(step,) * MAX_STEPS)
    with pytest.raises(InvalidTransformation, match="at most"):
        Transformation(steps=(step,) * (MAX_STEPS + 1))


def test_dpr_multiplies_the_pixels_of_steps() -> None:
    once = "then=blur:2,then=crop:10:0.25:30:40,then=canvas:100:50:-5:3,then=rotate:30,then=px:4"
    twice = "then=blur:4,then=crop:20:0.25:60:80,then=canvas:200:100:-10:6,then=rotate:30,then=px:8"
    assert str(parse(f"w=10,dpr=2,{once},fm=webp")) == f"w=20,{twice},fm=webp"


def test_sizes_follow_from_the_steps() -> None:
    steps = parse(
        "then=crop:10:10:60:500,then=rotate:90,then=blur:2,then=canvas:200:30:0:0,then=rotate:45"
    ).steps
    assert list(sizes_after(Size(100, 50), steps)) == [
        Size(60, 40),
        Size(40, 60),
        Size(40, 60),
        Size(200, 30),
        Size(163, 163),
    ]


def test_a_crop_outside_ends_the_sizes() -> None:
    steps = (Step("crop", (100, 0, 5, 5)), Step("resize", (10, 10)))
    assert list(sizes_after(Size(100, 50), steps)) == [None]
