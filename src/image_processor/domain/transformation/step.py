"""Steps: operations that a rendition goes through after all other parameters, in the order given.

The other parameters are applied in one fixed order, which suits nearly every image. A step is for the rest:
a crop of the resized image, greyscale over a watermark, a rotation after a blur. `blur:3` and
`crop:0:0:80:60` are values of the repeatable parameter `then`; an overlay is a step, too. `parse_step` and
`str` are inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import InvalidTransformation, Problem
from image_processor.domain.rounding import round_number

from .overlay import Blend, Overlay
from .overlay import parse as parse_overlay
from .parameter_table import Example, Scale, scale_length, scale_lengths
from .parameter_types import COLOUR, FLAG, ValueType, choice, four_sides, integer, length, number, tuple_of
from .values import MAX_SIDE, SMART, Flip, Gravity

MAX_STEPS = 24

_MIN_BLUR, _MAX_BLUR = 0.3, 250


class Backdrop(StrEnum):
    """What fills the canvas of the step `backdrop`."""

    MEAN = "mean"
    BLURRED = "blurred"


_SIDE = integer(1, MAX_SIDE)
_OFFSET = integer(-MAX_SIDE, MAX_SIDE)
_DEGREES = number(-360, 360, "degrees")
_FACTOR = number(-1000, 1000)
_STRENGTH = number(0.1, 10)
_SHARE = number(0, 1)
_PERCENT = number(-100, 100)
_SOLID_BLENDS = tuple(blend for blend in Blend if blend is not Blend.MASK)
_SOLID_BLEND = ValueType(
    " | ".join(_SOLID_BLENDS), Blend, lambda value: isinstance(value, Blend) and value in _SOLID_BLENDS
)


class StepKind(Struct, frozen=True):
    """The type of a step's value, its meaning for the documents, an example, and how `dpr` scales it."""

    type: ValueType
    meaning: str
    example: str
    scale: Scale | None = None
    original: str = Example("").original
    """The original of the example."""


def _fields(expected: str, *types: ValueType, optional: int = 0) -> ValueType:
    """Tuples whose items have different types, joined by colons; the last ``optional`` may be left out."""

    def read(text: str) -> tuple[Any, ...]:
        parts = text.split(":")
        if not len(types) - optional <= len(parts) <= len(types):
            raise ValueError(text)
        return tuple(type_.read(part) for type_, part in zip(types, parts, strict=False))

    def is_valid(value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and len(types) - optional <= len(value) <= len(types)
            and all(type_.is_valid(item) for type_, item in zip(types, value, strict=False))
        )

    def show(value: tuple[Any, ...]) -> str:
        return ":".join(type_.show(item) for type_, item in zip(types, value, strict=False))

    return ValueType(expected, read, is_valid, show)


def _either(numbers: ValueType, *counts: int) -> ValueType:
    expected = f"{' or '.join(map(str, counts))} numbers with colons"
    return tuple_of(numbers, counts, expected)


def _is_kernel(value: Any) -> bool:
    if not _NUMBERS.is_valid(value):
        return False
    columns, _, *numbers = value
    rows, rest = divmod(len(numbers), columns)
    return not rest and columns % 2 == 1 and rows % 2 == 1


_NUMBERS = _fields(
    "columns:divide and the numbers of a kernel with odd sides up to 15",
    integer(1, 15),
    FLAG,
    *[_FACTOR] * 225,
    optional=224,
)
_KERNEL = ValueType(_NUMBERS.expected, _NUMBERS.read, _is_kernel, _NUMBERS.show)
_WINDOW = ValueType(
    "an odd number from 3 to 15",
    integer(3, 15).read,
    lambda value: integer(3, 15).is_valid(value) and value % 2 == 1,
)


def _is_border(value: Any) -> bool:
    """Without radii or with all four of them."""
    return _BORDER_FIELDS.is_valid(value) and len(value) in {6, 10}


_BORDER_FIELDS = _fields(
    "top:right:bottom:left in pixels, a colour, opacity in percent, and four radii or none",
    *[integer(0, MAX_SIDE)] * 4,
    COLOUR,
    number(0, 100),
    *[integer(0, MAX_SIDE)] * 4,
    optional=4,
)
_BORDER = ValueType(_BORDER_FIELDS.expected, _BORDER_FIELDS.read, _is_border, _BORDER_FIELDS.show)
_DISTANCE, _EXTENT = length(0, 1_000_000), length(1, 1_000_000)
_BOX = _fields("left:top:width:height, each pixels or a share of the side", *[_DISTANCE] * 2, *[_EXTENT] * 2)
_BY_PIXELS = SMART - {Gravity.FOCUS}  # a focus is a point of the original, which steps do not know
_SMART = ValueType(" | ".join(sorted(_BY_PIXELS)), Gravity, lambda value: value in _BY_PIXELS)
_scale_side = scale_length(MAX_SIDE, 1)
_scale_offset = scale_length(MAX_SIDE)


def _scale_sides(value: tuple[int, int], factor: Any) -> tuple[int, ...]:
    return tuple(_scale_side(side, factor) for side in value)


def _scale_canvas(value: tuple[Any, ...], factor: Any) -> tuple[Any, ...]:
    sides, offsets = _scale_sides(value[:2], factor), (_scale_offset(at, factor) for at in value[2:4])
    return (*sides, *offsets, *value[4:])


def _scale_border(value: tuple[Any, ...], factor: Any) -> tuple[Any, ...]:
    lengths = [_scale_offset(length_, factor) for length_ in (*value[:4], *value[6:])]
    return (*lengths[:4], *value[4:6], *lengths[4:])


def _scale_grid(value: tuple[Any, ...], factor: Any) -> tuple[Any, ...]:
    return (_scale_side(value[0], factor), *value[1:])


def _scale_blur(sigma: float, factor: Any) -> float:
    return min(_MAX_BLUR, max(_MIN_BLUR, round_number(float(sigma * factor))))


STEP_KINDS: Mapping[str, StepKind] = MappingProxyType(
    {
        # Size and place
        "crop": StepKind(_BOX, "keep this part", "crop:20:10:100:60", scale_lengths(MAX_SIDE)),
        "smart": StepKind(
            _fields("width:height in pixels, and a gravity", _SIDE, _SIDE, _SMART),
            "keep the part of this size that attention, entropy or faces choose",
            "smart:60:60:attention",
            lambda value, factor: (*_scale_sides(value[:2], factor), value[2]),
        ),
        "resize": StepKind(
            _fields("width:height in pixels", _SIDE, _SIDE),
            "scale to exactly this size",
            "resize:80:80",
            _scale_sides,
        ),
        "canvas": StepKind(
            _fields(
                "width:height:left:top in pixels, and a colour",
                *[_SIDE] * 2,
                *[_OFFSET] * 2,
                COLOUR,
                optional=1,
            ),
            "a new canvas with the image at `left` and `top`; transparent without a colour",
            "canvas:160:160:0:25:223355",
            _scale_canvas,
        ),
        "backdrop": StepKind(
            _fields(
                "width:height:left:top in pixels, and a kind", *[_SIDE] * 2, *[_OFFSET] * 2, choice(Backdrop)
            ),
            "a new canvas, filled with the image's mean colour, or with the image stretched and blurred",
            "backdrop:160:160:0:26:blurred",
            _scale_canvas,
        ),
        "rotate": StepKind(
            _fields("degrees, and a colour", _DEGREES, COLOUR, optional=1),
            "rotate clockwise; new corners are transparent without a colour",
            "rotate:10:223355",
        ),
        "flip": StepKind(choice(Flip), "mirror", "flip:h"),
        # Colours
        "linear": StepKind(
            _either(_FACTOR, 2, 6),
            "multiply and add, on a scale of 0-255: one factor and offset, or three of each",
            "linear:1.4:-40",
        ),
        "matrix": StepKind(
            _either(_FACTOR, 9, 12),
            "three factors for each of red, green and blue of the result, then three offsets (0-255)",
            "matrix:0:1:0:1:0:0:0:0:1",
        ),
        "lch": StepKind(
            _fields("brightness:saturation:hue:lightness", _FACTOR, _FACTOR, _DEGREES, _FACTOR),
            "in CIE LCh: multiply lightness, multiply chroma, rotate the hue, add to lightness",
            "lch:1.1:1.5:40:0",
        ),
        "saturate": StepKind(
            _FACTOR,
            "scale each channel's distance from the perceived brightness of the HSP colour model",
            "saturate:1.8",
        ),
        "vibrance": StepKind(
            _PERCENT, "as `sat`, but the less a pixel's colour is saturated, the more", "vibrance:80"
        ),
        "tones": StepKind(
            _fields("shadows:highlights, each -100 to 100", _PERCENT, _PERCENT),
            "lift or deepen the dark tones, and the light ones; black and white stay",
            "tones:80:-60",
        ),
        "grey": StepKind(FLAG, "greyscale", "grey:1"),
        "equal": StepKind(FLAG, "equalise the histogram of each channel by itself", "equal:1"),
        "norm": StepKind(
            _fields("low:high in percent", number(0, 99), number(1, 100)),
            "stretch CIE lightness between these percentiles to the full range",
            "norm:1:99",
        ),
        "neg": StepKind(FLAG, "invert colours", "neg:1"),
        "tint": StepKind(COLOUR, "tint a greyscale image with this colour", "tint:2266cc"),
        "threshold": StepKind(
            integer(0, 255), "black below this value of grey, white from it on", "threshold:128"
        ),
        "noise": StepKind(
            _fields("amount:seed", number(0, 255), integer(0, 10**9)),
            "add random grey noise, the same for the same seed",
            "noise:60:1",
        ),
        "gradient": StepKind(
            _fields("opacity:colour:degrees:start:stop", _SHARE, COLOUR, _DEGREES, _SHARE, _SHARE),
            "a colour that fades in, downwards at 0 degrees, to the left at 90",
            "gradient:0.8:000000:0:0.3:1",
        ),
        "colour": StepKind(
            _fields("a colour, opacity in percent, and a blend mode", COLOUR, number(0, 100), _SOLID_BLEND),
            "blend a colour over the image",
            "colour:2266cc:80:overlay",
        ),
        # Neighbourhoods
        "blur": StepKind(
            number(_MIN_BLUR, _MAX_BLUR), "Gaussian blur; sigma in pixels", "blur:3", _scale_blur
        ),
        "sharp": StepKind(_fields("sigma:amount", _STRENGTH, _STRENGTH), "unsharp mask", "sharp:1:3"),
        "median": StepKind(_WINDOW, "median filter of this window size", "median:7"),
        "conv": StepKind(
            _KERNEL,
            "correlate with a kernel of odd sides, divided by its sum if `divide`",
            "conv:3:1:-2:-1:0:-1:1:1:0:1:2",
        ),
        "px": StepKind(integer(2, 1000), "pixelate; block size in pixels", "px:8", scale_length(1000, 2)),
        # Transparency
        "round": StepKind(
            four_sides(length(0, MAX_SIDE), "1, 2 or 4 radii"),
            "round the corners",
            "round:24",
            scale_lengths(MAX_SIDE),
        ),
        "corners": StepKind(
            _fields("radii across and down, in pixels", *[integer(1, MAX_SIDE)] * 2),
            "round all corners to quarters of an ellipse",
            "corners:30:15",
            _scale_sides,
        ),
        "ellipse": StepKind(
            _fields("centre x:y and radii x:y, in pixels", *[number(0, MAX_SIDE)] * 4),
            "keep an ellipse",
            "ellipse:80:55:60:40",
        ),
        "op": StepKind(number(0, 100), "opacity in percent", "op:40"),
        "border": StepKind(
            _BORDER,
            "draw a border over the edge of the image, with these radii inside",
            "border:6:6:12:6:ffcc00:100",
            _scale_border,
        ),
        "pad": StepKind(
            _fields(
                "top:right:bottom:left in pixels, and a colour",
                *[integer(0, MAX_SIDE)] * 4,
                COLOUR,
                optional=1,
            ),
            "padding around the image; transparent without a colour",
            "pad:6:20:6:20:223355",
            lambda value, factor: (*(_scale_offset(side, factor) for side in value[:4]), *value[4:]),
        ),
        "behind": StepKind(
            _fields("a colour, and opacity in percent", COLOUR, number(0, 100)),
            "draw a translucent colour behind the image",
            "behind:ffcc00:50",
            original="see-through",
        ),
        "bg": StepKind(COLOUR, "flatten over this colour", "bg:ffcc00"),
        "bg-linear": StepKind(
            _fields("degrees and two colours", _DEGREES, COLOUR, COLOUR),
            "flatten over a gradient, downwards at 0 degrees, to the left at 90",
            "bg-linear:0:223355:ffcc00",
            original="see-through",
        ),
        "bg-radial": StepKind(
            _fields(
                "centre x:y as shares of the sides, two radii as shares of the shorter side, and two colours",
                *[_SHARE] * 2,
                *[number(0, 100)] * 2,
                COLOUR,
                COLOUR,
            ),
            "flatten over a gradient from the inner radius to the outer one",
            "bg-radial:0.5:0.5:0.2:0.7:ffcc00:223355",
            original="see-through",
        ),
        "bg-grid": StepKind(
            _fields("the side of a square in pixels, and two colours", integer(1, 1000), COLOUR, COLOUR),
            "flatten over a chequerboard",
            "bg-grid:10:d0d7dd:ffffff",
            _scale_grid,
            "see-through",
        ),
    }
)
"""Every kind of step by its name. Its operation is in engine/operations/steps.py."""

_OVERLAY_NAMES = ("image", "text")


class Step(Struct, frozen=True):
    """One operation: the name of a StepKind and a value of its type, or `over` and an overlay."""

    name: str
    value: Any

    def __post_init__(self) -> None:
        if isinstance(self.value, Overlay) and self.name == "over":
            return
        kind = STEP_KINDS.get(self.name)
        if kind is None:
            raise InvalidTransformation([Problem("then", _NAMES, repr(self.name))])
        is_off = kind.type is FLAG and self.value is False
        if is_off or not kind.type.is_valid(self.value):
            expected = "1" if kind.type is FLAG else kind.type.expected
            raise InvalidTransformation([Problem(f"then={self.name}", expected, repr(self.value))])

    def __str__(self) -> str:
        if self.name == "over":
            return str(self.value)
        return f"{self.name}:{STEP_KINDS[self.name].type.show(self.value)}"

    def scaled(self, factor: Any) -> Step:
        """This step with every length in pixels times ``factor``."""
        if isinstance(self.value, Overlay):
            return replace(self, value=self.value.scaled(float(factor)))
        scale: Callable[[Any, Any], Any] | None = STEP_KINDS[self.name].scale
        return replace(self, value=scale(self.value, factor)) if scale else self

    @property
    def new_sides(self) -> tuple[int, ...]:
        """The sides in pixels that this step gives the image."""
        return self.value[:2] if self.name in {"resize", "canvas", "backdrop"} else ()

    @property
    def overlay(self) -> Overlay | None:
        """The overlay that this step draws."""
        return self.value if isinstance(self.value, Overlay) else None


_NAMES = "image:KEY, text:TEXT or one of " + ", ".join(f"{name}:" for name in STEP_KINDS)


def parse_step(text: str) -> Step:
    """The step in a text such as `blur:3`. Raises InvalidTransformation."""
    name, _, raw = text.partition(":")
    if name in _OVERLAY_NAMES or ";" in text:  # an overlay's pairs may have any order
        return Step("over", parse_overlay(text))
    kind = STEP_KINDS.get(name)
    if kind is None:
        raise InvalidTransformation([Problem("then", _NAMES, repr(text))])
    try:
        return Step(name, kind.type.read(raw))
    except (ValueError, KeyError):
        raise InvalidTransformation([Problem(f"then={name}", kind.type.expected, repr(raw))]) from None


STEP = ValueType(_NAMES, parse_step, lambda value: isinstance(value, Step))
