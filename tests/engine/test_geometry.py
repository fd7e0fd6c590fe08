"""Properties of domain.geometry, and the table of fits as examples."""

from __future__ import annotations

from fractions import Fraction

import pytest
from domain_strategies import lengths, numbers
from hypothesis import given
from hypothesis import strategies as st

from image_processor.domain.geometry import (
    Anchor,
    Placement,
    Size,
    cascade,
    needed_for,
    offset,
    place,
    shrink_on_load,
)
from image_processor.domain.transformation import MAX_SIDE, Fit, Gravity, Transformation, parse

sides = st.integers(1, 20_000)
boxes = st.integers(1, MAX_SIDE)
sizes = st.builds(Size, sides, sides)
boxed = st.builds(Transformation, width=boxes, height=boxes, fit=st.sampled_from(Fit), enlarge=st.booleans())
one_sided = st.one_of(
    st.builds(Transformation, width=boxes, enlarge=st.booleans()),
    st.builds(Transformation, height=boxes, enlarge=st.booleans()),
    st.just(Transformation()),
)
transformations = st.one_of(boxed, one_sided)


def box_of(transformation: Transformation) -> Size:
    assert transformation.width is not None
    assert transformation.height is not None
    return Size(transformation.width, transformation.height)


@pytest.mark.parametrize(
    ("text", "level", "output"),
    [
        ("w=100,fm=jpeg", (100, 75), (100, 75)),
        ("h=100,fm=jpeg", (133, 100), (133, 100)),
        ("fm=jpeg", (400, 300), (400, 300)),
        ("w=800,fm=jpeg", (400, 300), (400, 300)),
        ("w=800,enlarge=1,fm=jpeg", (800, 600), (800, 600)),
        ("w=100,h=100,fm=jpeg", (133, 100), (100, 100)),
        ("w=800,h=200,fm=jpeg", (400, 300), (400, 200)),
        ("w=800,h=800,fm=jpeg", (400, 300), (400, 300)),
        ("w=800,h=800,enlarge=1,fm=jpeg", (1067, 800), (800, 800)),
        ("w=100,h=100,fit=contain,fm=jpeg", (100, 75), (100, 100)),
        ("w=800,h=600,fit=contain,fm=jpeg", (400, 300), (800, 600)),
        ("w=800,h=600,fit=contain,enlarge=1,fm=jpeg", (800, 600), (800, 600)),
        ("w=100,h=500,fit=fill,fm=jpeg", (100, 300), (100, 300)),
        ("w=100,h=500,fit=fill,enlarge=1,fm=jpeg", (100, 500), (100, 500)),
        ("w=100,h=100,fit=inside,fm=jpeg", (100, 75), (100, 75)),
        ("w=100,h=100,fit=outside,fm=jpeg", (133, 100), (133, 100)),
        ("w=200,h=600,fit=outside,fm=jpeg", (400, 300), (400, 300)),
    ],
)
def test_each_fit_by_example(text: str, level: tuple[int, int], output: tuple[int, int]) -> None:
    assert place(Size(400, 300), parse(text)) == Placement(Size(*level), Size(*output))


@given(sizes, transformations)
def test_no_side_is_less_than_one_or_more_than_the_largest(
    natural: Size, transformation: Transformation
) -> None:
    placement = place(natural, transformation)
    assert min(placement.level.width, placement.level.height) >= 1
    assert min(placement.output.width, placement.output.height) >= 1
    assert max(placement.output.width, placement.output.height) <= MAX_SIDE


@given(sizes, transformations)
def test_a_level_covers_its_output_or_the_other_way_round(
    natural: Size, transformation: Transformation
) -> None:
    level, output = (placement := place(natural, transformation)).level, placement.output
    assert level.covers(output) or output.covers(level)


@given(sizes, transformations)
def test_without_enlargement_no_level_exceeds_the_original(
    natural: Size, transformation: Transformation
) -> None:
    if not transformation.enlarge:
        assert natural.covers(place(natural, transformation).level)


@given(sizes, transformations)
def test_the_ratio_is_kept_to_within_half_a_pixel(natural: Size, transformation: Transformation) -> None:
    level = place(natural, transformation).level
    if transformation.fit is Fit.FILL:
        return
    # One side of the level, or the scale, is exact; the other is rounded.
    by_width = abs(Fraction(natural.height * level.width, natural.width) - level.height)
    by_height = abs(Fraction(natural.width * level.height, natural.height) - level.width)
    assert min(by_width, by_height) <= Fraction(1, 2) or 1 in {level.width, level.height}


@given(sizes, boxed)
def test_properties_of_each_fit(natural: Size, transformation: Transformation) -> None:
    box = box_of(transformation)
    placement = place(natural, transformation)
    enlarged = transformation.enlarge
    match transformation.fit:
        case Fit.CONTAIN:
            assert placement.output == box
            assert box.covers(placement.level)
        case Fit.INSIDE:
            assert box.covers(placement.output)
        case Fit.FILL:
            assert placement.output == (box if enlarged else box.within(natural))
        case Fit.COVER:
            assert placement.output == (box if enlarged else box.within(placement.level))
        case Fit.OUTSIDE:
            capped = MAX_SIDE in {placement.output.width, placement.output.height}
            assert placement.output.covers(box if enlarged else box.within(natural)) or capped


@given(sizes, boxed)
def test_cover_and_contain_touch_the_box(natural: Size, transformation: Transformation) -> None:
    level, box = place(natural, transformation).level, box_of(transformation)
    if transformation.enlarge and transformation.fit in {Fit.COVER, Fit.CONTAIN, Fit.INSIDE}:
        assert level.width == box.width or level.height == box.height


anchors = st.builds(
    Anchor,
    st.sampled_from(Gravity),
    lengths(-20_000, 20_000),
    lengths(-20_000, 20_000),
    st.none() | st.tuples(numbers(0, 1), numbers(0, 1)),
)


@given(sizes, sizes, anchors)
def test_an_offset_keeps_the_inner_within_the_outer(one: Size, other: Size, anchor: Anchor) -> None:
    inner = one.within(other)
    left, top = offset(other, inner, anchor)
    assert 0 <= left <= other.width - inner.width
    assert 0 <= top <= other.height - inner.height


@pytest.mark.parametrize(
    ("gravity", "expected"),
    [
        (Gravity.CENTRE, (5, 3)),
        (Gravity.NORTH, (5, 0)),
        (Gravity.NORTHEAST, (11, 0)),
        (Gravity.EAST, (11, 3)),
        (Gravity.SOUTHEAST, (11, 7)),
        (Gravity.SOUTH, (5, 7)),
        (Gravity.SOUTHWEST, (0, 7)),
        (Gravity.WEST, (0, 3)),
        (Gravity.NORTHWEST, (0, 0)),
    ],
)
def test_nine_gravities(gravity: Gravity, expected: tuple[int, int]) -> None:
    assert offset(Size(21, 17), Size(10, 10), Anchor(gravity)) == expected


@given(sizes, st.sets(sizes, min_size=1, max_size=8))
def test_a_cascade_makes_every_size_once_from_one_already_made(natural: Size, wanted: set[Size]) -> None:
    base, stages = cascade(natural, wanted)
    result = [base]
    for stage in stages:
        assert stage.made_from in result
        result.append(stage.size)
    assert wanted <= set(result)
    assert len(result) == len(set(result))


@given(sizes, st.sets(sizes, min_size=1, max_size=8))
def test_a_cascade_only_enlarges_what_must_be_larger_than_the_original(
    natural: Size, wanted: set[Size]
) -> None:
    base, stages = cascade(natural, wanted)
    assert natural.covers(base)
    for stage in stages:
        assert stage.made_from.covers(stage.size) or not natural.covers(stage.size)
        assert natural.covers(stage.made_from)


def test_each_level_comes_from_the_nearest_larger_one() -> None:
    widths = [Size(1600, 1200), Size(800, 600), Size(400, 300)]
    base, stages = cascade(Size(4000, 3000), widths)
    assert base == Size(1600, 1200)
    assert [(stage.size, stage.made_from) for stage in stages] == [
        (widths[1], widths[0]),
        (widths[2], widths[1]),
    ]


def test_only_the_stages_that_lead_to_a_size_are_needed() -> None:
    _, stages = cascade(Size(4000, 3000), [Size(1600, 1200), Size(800, 600), Size(400, 300)])
    assert needed_for(stages, {Size(800, 600)}) == stages[:1]
    assert needed_for(stages, {Size(400, 300)}) == stages
    assert needed_for(stages, {Size(1600, 1200)}) == ()


@given(sizes, sizes)
def test_shrink_on_load_factors(stored: Size, wanted: Size) -> None:
    need = wanted.within(stored)
    shrink = shrink_on_load(stored, need)

    def enough(by: int) -> bool:
        return stored.width >= by * need.width and stored.height >= by * need.height

    assert enough(shrink)
    assert shrink == 8 or not enough(2 * shrink)
