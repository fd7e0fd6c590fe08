"""Hypothesis strategies for the domain's values."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from image_processor.domain.errors import InvalidKey, InvalidTransformation
from image_processor.domain.formats import WRITABLE
from image_processor.domain.keys import check_key
from image_processor.domain.transformation import (
    MAX_SIDE,
    Colour,
    Edge,
    Fit,
    Flip,
    Gravity,
    RelativeLength,
    Step,
    Subsampling,
    Transformation,
)

SIDES = st.none() | st.integers(1, MAX_SIDE)
COLOURS = st.builds(Colour, *[st.integers(0, 255)] * 3)
SHARES = st.integers(0, 1000).map(lambda part: RelativeLength(part / 1000))


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers with at most three decimals; whole ones are int, as read from text."""
    return st.integers(round(low * 1000), round(high * 1000)).map(
        lambda thousandths: thousandths // 1000 if thousandths % 1000 == 0 else thousandths / 1000
    )


def lengths(low: int, high: int) -> st.SearchStrategy[Any]:
    return st.integers(low, high) | SHARES


_SMALL = lengths(0, 100)
_FOURS = st.none() | st.tuples(*[_SMALL] * 4) | _SMALL.map(lambda one: (one,) * 4)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "frame": st.none() | st.integers(1, 100),
    "frames": st.none() | st.integers(1, 100),
    "orient": st.booleans(),
    "trim": st.none() | st.integers(0, 255),
    "trim_colour": st.none() | COLOURS,
    "trim_last": st.booleans(),
    "trim_equal": st.none() | st.sampled_from(Flip),
    "region": st.none()
    | st.tuples(*[_SMALL] * 2, *[_SMALL.filter(lambda side: side not in {0, RelativeLength(0.0)})] * 2)
    | st.just((0, RelativeLength(0.0), RelativeLength(1.0), RelativeLength(1.0))),
    "rotate": numbers(-360, 360) | st.sampled_from([0, 90, 180, 270, -90]),
    "flip": st.none() | st.sampled_from(Flip),
    "width": SIDES,
    "height": SIDES,
    "ratio": st.none() | st.fractions(Fraction(1, 100), 100, max_denominator=100),
    "min_width": SIDES,
    "min_height": SIDES,
    "zoom": st.just(1) | numbers(0.01, 2),
    "dpr": st.just(1) | numbers(0.1, 2),
    "fit": st.sampled_from(Fit),
    "gravity": st.sampled_from(Gravity),
    "gravity_x": lengths(-50, 50),
    "gravity_y": lengths(-50, 50),
    "focal_point": st.none() | st.tuples(numbers(0, 1), numbers(0, 1)),
    "background": st.none() | COLOURS | st.just(Colour(255, 255, 255)),
    "enlarge": st.booleans(),
    "linear": st.booleans(),
    "normalise": st.booleans(),
    "equalise": st.booleans(),
    "gamma": st.just(1) | numbers(0.1, 10),
    "brightness": numbers(-100, 100),
    "contrast": numbers(-100, 100),
    "saturation": numbers(-100, 100),
    "hue": numbers(0, 360),
    "grey": st.booleans(),
    "sepia": numbers(0, 100),
    "tint": st.none() | COLOURS,
    "duotone": st.none() | st.tuples(COLOURS, COLOURS),
    "negate": st.booleans(),
    "median": st.none() | st.sampled_from(range(3, 16, 2)),
    "blur": st.none() | numbers(0.3, 250),
    "sharpen": st.none() | st.tuples(numbers(0.1, 10), st.just(1) | numbers(0.1, 10)),
    "convolve": st.none() | st.tuples(*[numbers(-1000, 1000)] * 9),
    "pixelate": st.none() | st.integers(2, 1000),
    "overlays": st.just(()),
    "round": _FOURS,
    "ellipse": st.booleans(),
    "opacity": st.just(100) | numbers(0, 100),
    "padding": _FOURS,
    "edge": st.sampled_from(Edge),
    "steps": st.lists(
        st.builds(Step, st.just("blur"), numbers(0.3, 250))
        | st.builds(Step, st.just("crop"), st.tuples(*[_SMALL] * 2, *[st.integers(1, 100)] * 2))
        | st.builds(Step, st.just("canvas"), st.tuples(*[st.integers(1, 50)] * 4, COLOURS))
        | st.builds(Step, st.just("grey"), st.just(value=True)),
        max_size=3,
    ).map(tuple),
    "quality": st.none() | st.integers(1, 100) | st.sampled_from([75, 80, 63, "auto"]),
    "max_bytes": st.none() | st.integers(100, 10**8),
    "soft_limit": st.booleans(),
    "progressive": st.booleans(),
    "subsampling": st.none() | st.sampled_from(Subsampling),
    "optimise": st.booleans(),
    "effort": st.none() | st.integers(0, 9),
    "lossless": st.booleans(),
    "colours": st.none() | st.integers(2, 256),
    "format": st.sampled_from(WRITABLE),
}
"""A strategy for each field of a transformation."""


def _is_possible(fields: dict[str, Any]) -> bool:
    try:
        Transformation(**fields)
    except InvalidTransformation:
        return False
    return True


# Most set few fields, as people do; some set all.
TRANSFORMATIONS = (
    (st.fixed_dictionaries({}, optional=FIELDS) | st.fixed_dictionaries(FIELDS))
    .filter(_is_possible)
    .map(lambda fields: Transformation(**fields))
)

HASH = hashlib.sha256(b"photo").hexdigest()
LONGEST_NAME = ("w=16383,h=16383,fit=contain,g=northeast,bg=ff8800,enlarge=1,q=100," + "x" * 200)[
    :200
] + ".avif"
"""The longest name: a longer text is replaced by its hash."""


def is_legal(key: str) -> bool:
    try:
        return check_key(key) == key
    except InvalidKey:
        return False


# Unusual segments, in keys on both sides of every length limit.
_SEGMENTS = st.sampled_from(
    ["a", "", ".", "..", "a.jpg", "~", f"~{HASH}", LONGEST_NAME, "é", "🐈", " ", "%2F", "\n"]
)
_SHORT = st.lists(_SEGMENTS | st.text(max_size=8), min_size=1, max_size=6).map("/".join)
_LONG = st.builds(
    lambda filler, length, tail: (filler * length)[:length] + tail,
    st.sampled_from(["x", "é", "🐈", "ab/"]),
    st.integers(170, 1024),
    st.sampled_from(["", "/", "y", f"~{HASH}", f"~{HASH}/", f"~{HASH}/b"]),
)
KEYS = (_SHORT | _LONG).filter(is_legal)
