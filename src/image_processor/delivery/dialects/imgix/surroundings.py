"""Delivery, step 1: what lies behind and around the image in an imgix URL: background, fill, blend colour,
mask and border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from image_processor.delivery.dialects.request_builder import normalise
from image_processor.domain.transformation import (
    MAX_SIDE,
    Blend,
    Colour,
    Edge,
    ImageOverlay,
    OverlayFit,
    RelativeLength,
    Step,
)

from .arguments import Arguments, Paint
from .composition import Composition, step
from .layers import source_key
from .sizes import BARS, fit_of

_GRID_SIZE = 4
_GRID: Final = (Paint(Colour(0xD0, 0xD7, 0xDD)), Paint(Colour(255, 255, 255)))
_DIRECTIONS: Final[Mapping[tuple[str, ...], int]] = {
    ("top", "bottom"): 0,
    ("right", "left"): 90,
    ("bottom", "top"): 180,
    ("left", "right"): 270,
}
"""Degrees of a gradient from one side to another."""

_WHOLE = RelativeLength(1.0)
_DEFAULT_CORNER = RelativeLength(0.2)
_MASKS = ("corners", "ellipse")


def apply(arguments: Arguments, composition: Composition) -> None:
    """Add background, fill, mask and border."""
    composition.behind = arguments.paint("bg")
    if fit_of(arguments) in BARS:
        _set_fill(arguments, composition)
    if arguments.word("transparency", ("grid",)):
        size = arguments.integer("grid-size", 0, 1000) or _GRID_SIZE
        first, last = arguments.paints("grid-colors") or _GRID
        composition.patterns += step("bg-grid", (size, first.colour, last.colour), "transparency", arguments)
    _set_mask(arguments, composition)
    _set_border(arguments, composition)


# Fill ----------------------------------------------------------------------------------------------


def _set_fill(arguments: Arguments, composition: Composition) -> None:
    kind = arguments.word("fill", ("solid", "blur", "gradient"), ("gen", "generative")) or "solid"
    if kind == "blur":
        composition.fields["edge"] = Edge.BLUR
    elif kind == "gradient":
        composition.patterns += _gradient(arguments)
    else:
        composition.behind = arguments.paint("fill-color") or composition.behind


def _gradient(arguments: Arguments) -> list[Step]:
    is_radial = arguments.word("fill-gradient-type", ("linear", "radial")) == "radial"
    name = "fill-gradient-radial" if is_radial else "fill-gradient-linear"
    ends = arguments.paints(name)
    if ends is None:
        return []
    colours = tuple(end.colour for end in ends)
    if is_radial:
        return step("bg-radial", (*_centre(arguments), *_radii(arguments), *colours), name, arguments)
    return step("bg-linear", (_degrees(arguments), *colours), name, arguments)


def _degrees(arguments: Arguments) -> int:
    parameter = "fill-gradient-linear-direction"
    words = tuple(arguments.words(parameter)) or ("top", "bottom")
    if words not in _DIRECTIONS:
        expected = " | ".join(",".join(direction) for direction in _DIRECTIONS)
        arguments.builder.add_error(parameter, expected, arguments.text(parameter))
    return _DIRECTIONS.get(words, 0)


def _centre(arguments: Arguments) -> tuple[float, float]:
    """As shares of the sides: pixels would need the size of the result."""
    x, y = (arguments.number(f"fill-gradient-radial-{axis}", 0, 1) for axis in "xy")
    return (0.5 if x is None else x), (0.5 if y is None else y)


def _radii(arguments: Arguments) -> tuple[float, float]:
    parameter = "fill-gradient-radial-radius"
    parts = arguments.words(parameter) or ["0.25", "0.5"]
    found = [arguments.builder.number(part, parameter, 0, 1) for part in parts]
    if len(found) != 2:
        arguments.builder.add_error(parameter, "two shares with a comma", arguments.text(parameter))
    inner, outer, *_ = [*(radius or 0 for radius in found), 0, 0]
    return inner, outer


# Mask ----------------------------------------------------------------------------------------------


def _set_mask(arguments: Arguments, composition: Composition) -> None:
    text = arguments.text("mask").strip()
    if not text:
        return
    composition.mask_colour = arguments.paint("mask-bg")
    if text not in _MASKS:
        key = source_key(text, "mask", arguments.builder)
        if key is not None:
            mask = ImageOverlay(image=key, width=_WHOLE, height=_WHOLE, fit=OverlayFit.FILL, blend=Blend.MASK)
            composition.masks.append(Step("over", mask))
        return
    is_plain = composition.mask_colour is None and composition.behind is None
    radii = arguments.radii("corner-radius") or (_DEFAULT_CORNER,) * 4
    if text == "ellipse" and is_plain and not composition.has_steps:
        composition.fields["ellipse"] = True
    elif text == "ellipse":
        composition.masks.append(Step("corners", (MAX_SIDE, MAX_SIDE)))
    elif is_plain and not composition.has_steps:
        composition.fields["round"] = radii
    elif any(radii):
        composition.masks.append(Step("round", radii))


# Border --------------------------------------------------------------------------------------------


def _set_border(arguments: Arguments, composition: Composition) -> None:
    text = arguments.text("border").strip()
    if not text:
        return
    size, _, colour = text.partition(",")
    width = arguments.builder.number(size, "border", 0, MAX_SIDE)
    paint = arguments.read_paint(colour, "border") if colour else None
    if not colour:
        arguments.builder.add_error("border", "a size and a colour with a comma", text)
    if width is None or paint is None:
        return
    sides = (arguments.integer(f"border-{side}", 0, MAX_SIDE) for side in ("top", "right", "bottom", "left"))
    widths = tuple(round(width) if side is None else side for side in sides)
    inner = arguments.radii("border-radius-inner") or ()
    value = (*widths, paint.colour, normalise(paint.percent), *inner)
    composition.border += step("border", value, "border", arguments)
    outer = arguments.radii("border-radius")
    if outer is not None and any(outer):
        composition.border.append(Step("round", outer))
