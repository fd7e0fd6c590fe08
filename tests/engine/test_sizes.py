"""The size of every rendition, against arithmetic independent of domain.geometry."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import pytest
from drawing import encoded, flat, made
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from image_processor.delivery.source_crop import output_size
from image_processor.domain.models import Limits
from image_processor.domain.transformation import Fit, RelativeLength, Transformation, parse
from image_processor.engine.render import render

Ratio = tuple[int, int]


def half_up(value: Fraction) -> int:
    return max(1, math.floor(value + Fraction(1, 2)))


@cache
def original(width: int, height: int) -> bytes:
    return encoded(flat((10, 120, 200), size=(width, height)))


def inner_box(width: int, height: int, ratio: Fraction, fit: str) -> tuple[Fraction, Fraction]:
    """The largest box of ``ratio`` within the image; for contain, the smallest around it."""
    candidates = [(Fraction(width), width / ratio), (height * ratio, Fraction(height))]
    candidates.sort(key=lambda box: box[0] * box[1])
    return candidates[-1] if fit == "contain" else candidates[0]


def wanted_size(
    natural: tuple[int, int],
    box: tuple[int | None, int | None],
    *,
    fit: str,
    ratio: Ratio | None,
    zoom: Fraction,
    dpr: Fraction,
    least: tuple[int | None, int | None],
    enlarge: bool,
) -> tuple[int, int]:
    width, height = (None if side is None else half_up(side * dpr) for side in box)
    least_width, least_height = (0 if side is None else half_up(side * dpr) for side in least)
    across, down = natural
    if width is not None or height is not None:
        width, height = (None if side is None else half_up(side * zoom) for side in (width, height))
        zoom = Fraction(1)
        if ratio is not None:
            width = half_up(height * Fraction(*ratio)) if width is None and height is not None else width
            height = half_up(width / Fraction(*ratio)) if height is None and width is not None else height
    elif ratio is not None and fit not in {"inside", "outside"}:
        wide, high = inner_box(across, down, Fraction(*ratio), fit)
        width, height = half_up(wide * zoom), half_up(high * zoom)
        zoom = Fraction(1)
    if width is None or height is None:
        fit = "inside"
    if fit == "fill" and width is not None and height is not None:
        filled = max(width, least_width), max(height, least_height)
        return filled if enlarge else (min(filled[0], across), min(filled[1], down))
    scales = [Fraction(side, whole) for side, whole in ((width, across), (height, down)) if side is not None]
    scale = (max if fit in {"cover", "outside", "fill-down"} else min)(scales or [zoom])
    scale = max(scale, Fraction(least_width, across), Fraction(least_height, down))
    scale = scale if enlarge else min(scale, Fraction(1))
    scaled = half_up(across * scale), half_up(down * scale)
    if width is None or height is None or fit in {"inside", "outside"}:
        return scaled
    if fit == "contain":
        return max(width, scaled[0]), max(height, scaled[1])
    if fit == "fill-down" and not enlarge:
        part = min(Fraction(1), Fraction(scaled[0], width), Fraction(scaled[1], height))
        return min(half_up(width * part), scaled[0]), min(half_up(height * part), scaled[1])
    return min(width, scaled[0]), min(height, scaled[1])


sides = st.integers(1, 60)
maybe = st.none() | st.integers(1, 90)
hundredths = st.sampled_from(["1", "0.5", "0.33", "1.5", "2", "1.25"])
ratios = st.none() | st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(
    natural=st.tuples(st.sampled_from([7, 24, 60]), st.sampled_from([5, 24, 41])),
    box=st.tuples(maybe, maybe),
    fit=st.sampled_from(["cover", "contain", "fill", "inside", "outside", "fill-down"]),
    ratio=ratios,
    zoom=hundredths,
    dpr=hundredths,
    least=st.tuples(maybe, maybe),
    enlarge=st.booleans(),
    padding=st.none() | st.tuples(*[st.integers(0, 9)] * 4),
)
@settings(max_examples=150, deadline=None)
def test_a_rendition_has_the_requested_size(  # noqa: PLR0917 - each parameter of a size
    natural: tuple[int, int],
    box: tuple[int | None, int | None],
    fit: str,
    ratio: Ratio | None,
    zoom: str,
    dpr: str,
    least: tuple[int | None, int | None],
    enlarge: bool,  # noqa: FBT001 - Hypothesis gives it by name
    padding: tuple[int, int, int, int] | None,
) -> None:
    given_values = {
        "w": box[0],
        "h": box[1],
        "ar": None if ratio is None else f"{ratio[0]}:{ratio[1]}",
        "min-w": least[0],
        "min-h": least[1],
        "zoom": zoom,
        "dpr": dpr,
        "fit": fit,
        "enlarge": int(enlarge),
        "pad": None if padding is None else ":".join(map(str, padding)),
        "fm": "png",
    }
    text = ",".join(f"{name}={value}" for name, value in given_values.items() if value is not None)
    width, height = wanted_size(
        natural,
        box,
        fit=fit,
        ratio=ratio,
        zoom=Fraction(zoom),
        dpr=Fraction(dpr),
        least=least,
        enlarge=enlarge,
    )
    assume(max(width, height) <= 2000)
    top, right, bottom, left = (
        math.floor(side * Fraction(dpr) + Fraction(1, 2)) for side in padding or (0, 0, 0, 0)
    )
    facts = made(original(*natural), text).metadata
    assert (facts.width, facts.height) == (width + left + right, height + top + bottom)


def test_fill_down_is_never_larger_than_its_box() -> None:
    """Even where a minimum side makes the image larger than the box."""
    facts = made(original(60, 41), "w=20,h=20,min-w=60,fit=fill-down,fm=png").metadata
    assert (facts.width, facts.height) == (20, 20)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 89))
@settings(max_examples=40, deadline=None)
def test_the_size_of_a_fine_rotation(width: int, height: int, degrees: int) -> None:
    turn = math.radians(degrees)
    corners = [(x * width / 2, y * height / 2) for x in (-1, 1) for y in (-1, 1)]
    xs = [x * math.cos(turn) - y * math.sin(turn) for x, y in corners]
    ys = [x * math.sin(turn) + y * math.cos(turn) for x, y in corners]
    facts = made(original(width, height), f"rot={degrees},fm=png").metadata
    expected = (math.ceil(max(xs) - min(xs) - 1e-6), math.ceil(max(ys) - min(ys) - 1e-6))
    assert (facts.width, facts.height) == expected


@settings(max_examples=60, deadline=None)
@given(
    natural=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    wanted=st.builds(
        Transformation,
        width=st.none() | st.integers(1, 90),
        height=st.none() | st.integers(1, 90),
        fit=st.sampled_from(Fit),
        enlarge=st.booleans(),
        rotate=st.sampled_from([0, 90, 180, 270]),
        region=st.none() | st.just((0, 0, RelativeLength(0.5), RelativeLength(0.25))),
        format=st.just("png"),
    ),
)
def test_the_size_of_a_rendition_is_known_before_it_is_made(natural, wanted):
    rendered = render(original(*natural), [wanted], Limits(), summary=False)
    (rendition,) = rendered.renditions
    size = output_size(wanted, rendered.original)
    assert size is not None
    assert (size.width, size.height) == (rendition.metadata.width, rendition.metadata.height)


@pytest.mark.parametrize("text", ["trim=10,w=5", "pad=3,w=5", "rot=45,w=5", "frame=2,w=5", "rect=50:50:9:9"])
def test_a_size_that_pixels_or_padding_decide_is_not_known_before(text):
    facts = render(original(40, 30), [], Limits(), summary=False).original
    assert output_size(parse(f"{text},fm=png"), facts) is None
