"""Ground floor: the rows of the vocabulary, one for each thing that can be said of a rendition.

The order of the rows is the canonical order of the text form. docs/transformations.md shows each
with a picture, and a test holds the two together.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from image_processor.domain.formats import WRITABLE

from .overlay import OVERLAY
from .parameters import (
    COLOUR,
    FLAG,
    Parameter,
    ValueType,
    choice,
    integer,
    length,
    number,
    read_number,
    tuple_of,
)
from .values import AUTO, MAX_SIDE, Edge, Fit, Flip, Gravity, Length, RelativeLength, Subsampling

MAX_OVERLAYS = 8
_MOST_FRAMES = 100_000
_MOST_BYTES = 100_000_000

_SIDE = integer(1, MAX_SIDE, "pixels")
_CUT = length(0, 1_000_000)
_AROUND = length(0, MAX_SIDE)


def _read_ratio(text: str) -> Fraction:
    parts = [Fraction(str(read_number(part))) for part in text.split(":")]
    if len(parts) > 2 or 0 in parts:
        raise ValueError(text)
    return parts[0] / (parts[1] if len(parts) == 2 else 1)


def _is_ratio(value: Any) -> bool:
    small = isinstance(value, Fraction) and max(value.numerator, value.denominator) <= 10**9
    return small and Fraction(1, 1000) <= value <= 1000


def _four_sided(item: ValueType, expected: str) -> ValueType:
    """Top, right, bottom and left as in CSS: 1 value for all, 2 for vertical and horizontal, or 4."""

    def read(text: str) -> tuple[Length, ...]:
        parts = tuple(item.read(part) for part in text.split(":"))
        return {1: parts * 4, 2: parts * 2, 4: parts}[len(parts)]

    def show(value: tuple[Length, ...]) -> str:
        shortest = value[:1] if len(set(value)) == 1 else value[:2] if value[:2] == value[2:] else value
        return ":".join(map(item.show, shortest))

    def is_valid(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == 4 and all(map(item.is_valid, value))

    return ValueType(expected, read, is_valid, show)


def _is_region(value: Any) -> bool:
    fits = tuple_of(_CUT, (4,), "").is_valid(value)
    return fits and all(side != 0 and side != RelativeLength(0.0) for side in value[2:])


_REGION = tuple_of(_CUT, (4,), "left:top:width:height, each pixels or a share of the side such as 0.25")
_RATIO = ValueType(
    "a ratio such as 16:9, from 1:1000 to 1000:1",
    _read_ratio,
    _is_ratio,
    lambda value: f"{value.numerator}:{value.denominator}",
)
_PADDING = _four_sided(_AROUND, "1, 2 or 4 of " + _AROUND.expected)
_RADII = _four_sided(_AROUND, "1, 2 or 4 of " + _AROUND.expected.replace("the side", "the shorter side"))
_HUNDRED = integer(1, 100)
_QUALITY = ValueType(
    "1-100, or auto",
    lambda text: text if text == AUTO else _HUNDRED.read(text),
    lambda value: value == AUTO or _HUNDRED.is_valid(value),
)
_PERCENT = number(-100, 100)


def _is_window(value: Any) -> bool:
    return integer(3, 15).is_valid(value) and value % 2 == 1


def _read_sharpen(text: str) -> tuple[float, ...]:
    parts = tuple(read_number(part) for part in text.split(":"))
    return (*parts, 1) if len(parts) == 1 else parts


_SHARPEN = ValueType(
    "sigma or sigma:amount, each from 0.1 to 10",
    _read_sharpen,
    tuple_of(number(0.1, 10), (2,), "").is_valid,
    lambda value: ":".join(map(number(0.1, 10).show, value if value[1] != 1 else value[:1])),
)

PARAMETERS = (
    # what of the original
    Parameter("frame", "frame", integer(1, _MOST_FRAMES)),
    Parameter("frames", "frames", integer(1, _MOST_FRAMES)),
    Parameter("orient", "orient", FLAG, True),
    Parameter("trim", "trim", integer(0, 255)),
    Parameter("trim-bg", "trim_colour", COLOUR),
    Parameter("rect", "region", ValueType(_REGION.expected, _REGION.read, _is_region, _REGION.show)),
    Parameter("rot", "rotate", number(-360, 360, "degrees"), 0),
    Parameter("flip", "flip", choice(Flip)),
    # how large, and what is left of it
    Parameter("w", "width", _SIDE),
    Parameter("h", "height", _SIDE),
    Parameter("ar", "ratio", _RATIO),
    Parameter("min-w", "min_width", _SIDE),
    Parameter("min-h", "min_height", _SIDE),
    Parameter("zoom", "zoom", number(0.01, 100), 1),
    Parameter("dpr", "dpr", number(0.1, 10), 1),
    Parameter("fit", "fit", choice(Fit), Fit.COVER),
    Parameter("g", "gravity", choice(Gravity), Gravity.CENTRE),
    Parameter("gx", "gravity_x", length(-MAX_SIDE, MAX_SIDE), 0),
    Parameter("gy", "gravity_y", length(-MAX_SIDE, MAX_SIDE), 0),
    Parameter("fp", "focal_point", tuple_of(number(0, 1), (2,), "x:y, each a share from 0 to 1")),
    Parameter("bg", "background", COLOUR),
    Parameter("enlarge", "enlarge", FLAG, False),
    Parameter("linear", "linear", FLAG, False),
    # its pixels
    Parameter("norm", "normalise", FLAG, False),
    Parameter("equal", "equalise", FLAG, False),
    Parameter("gam", "gamma", number(0.1, 10), 1),
    Parameter("bri", "brightness", _PERCENT, 0),
    Parameter("con", "contrast", _PERCENT, 0),
    Parameter("sat", "saturation", _PERCENT, 0),
    Parameter("hue", "hue", number(0, 360, "degrees"), 0),
    Parameter("grey", "grey", FLAG, False),
    Parameter("sepia", "sepia", number(0, 100), 0),
    Parameter("tint", "tint", COLOUR),
    Parameter("duo", "duotone", tuple_of(COLOUR, (2,), "two colours as RRGGBB:RRGGBB")),
    Parameter("neg", "negate", FLAG, False),
    Parameter("median", "median", ValueType("an odd number from 3 to 15", integer(3, 15).read, _is_window)),
    Parameter("blur", "blur", number(0.3, 250)),
    Parameter("sharp", "sharpen", _SHARPEN),
    Parameter("conv", "convolve", tuple_of(number(-1000, 1000), (9, 25), "9 or 25 numbers with colons")),
    Parameter("px", "pixelate", integer(2, 1000, "pixels")),
    # what is laid on it and around it
    Parameter("over", "overlays", OVERLAY, (), many=True),
    Parameter("round", "round", _RADII),
    Parameter("ellipse", "ellipse", FLAG, False),
    Parameter("op", "opacity", number(0, 100), 100),
    Parameter("pad", "padding", _PADDING),
    Parameter("edge", "edge", choice(Edge), Edge.BACKGROUND),
    # how it is encoded
    Parameter("q", "quality", _QUALITY),
    Parameter("max-bytes", "max_bytes", integer(100, _MOST_BYTES)),
    Parameter("prog", "progressive", FLAG, False),
    Parameter("chroma", "subsampling", choice(Subsampling)),
    Parameter("moz", "optimise", FLAG, False),
    Parameter("effort", "effort", integer(0, 9)),
    Parameter("lossless", "lossless", FLAG, False),
    Parameter("colours", "colours", integer(2, 256)),
    # The one that is always shown: no value equals its default.
    Parameter("fm", "format", ValueType(" | ".join(WRITABLE), str, lambda value: value in WRITABLE), ""),
)
