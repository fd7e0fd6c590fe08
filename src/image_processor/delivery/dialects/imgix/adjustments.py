"""Delivery, step 1: imgix's adjustments and stylisations.

imgix does not publish their formulas. Each becomes the operation of the same name here, on imgix's scale:
0 changes nothing, and the ends of the range are strong, but keep the image recognisable.
"""

from __future__ import annotations

from typing import Final

from image_processor.delivery.dialects.request_builder import clamp, normalise
from image_processor.domain.transformation import Colour, Step

from .arguments import Arguments, Paint
from .composition import Composition, step

_LUMA: Final = (0.2126, 0.7152, 0.0722)
_STOPS_OF_CODED_VALUES = 110
"""100 is two stops of light: with sRGB's gamma of about 2.2 a factor of 2 ** (100 / 110) for values."""

_BLUR = 10
"""imgix's 0-2000 for a standard deviation of 0-200 pixels."""

_DEFAULT_RADIUS = 2.5


def apply(arguments: Arguments, composition: Composition) -> None:
    """Add the fields, and the steps for what no field does."""
    _set_fields(arguments, composition)
    steps = composition.adjustments
    exposure = arguments.number("exp", -100, 100)
    if exposure:
        steps += step("linear", (normalise(2 ** (exposure / _STOPS_OF_CODED_VALUES)), 0), "exp", arguments)
    shadows, highlights = arguments.number("shad", -100, 100) or 0, arguments.number("high", -100, 100) or 0
    if shadows or highlights:
        steps += step("tones", (shadows, highlights), "shad", arguments)
    vibrance = arguments.number("vib", -100, 100)
    if vibrance:
        steps += step("vibrance", vibrance, "vib", arguments)
    _set_sharpness(arguments, composition)
    _set_tones(arguments, composition)


def _set_fields(arguments: Arguments, composition: Composition) -> None:
    fields = composition.fields
    for name, field in (("bri", "brightness"), ("con", "contrast"), ("sat", "saturation")):
        amount = arguments.number(name, -100, 100)
        if amount:
            fields[field] = amount
    gamma = arguments.number("gam", -100, 100)
    if gamma:
        fields["gamma"] = normalise(2 ** (gamma / 100))
    hue = arguments.number("hue", -360, 360)
    if hue:
        fields["hue"] = normalise(hue % 360)
    if arguments.flag("invert"):
        fields["negate"] = True
    sepia = arguments.number("sepia", 0, 100)
    if sepia:
        fields["sepia"] = sepia
    blur = arguments.number("blur", 0, 2000)
    if blur and blur / _BLUR >= 0.3:
        fields["blur"] = normalise(blur / _BLUR)
    block = arguments.integer("px", 0, 1000)
    if block and block > 1:
        fields["pixelate"] = block
    noise = arguments.number("nr", -100, 100)
    if noise and noise > 0:
        fields["median"] = 3 if noise <= 50 else 5


def _set_sharpness(arguments: Arguments, composition: Composition) -> None:
    """`sharp`, `usm` and `nrs` are unsharp masks of other radii; the first is the field."""
    masks: list[tuple[float, float]] = []
    sharp = arguments.number("sharp", 0, 100)
    if sharp:
        masks.append((1, clamp(sharp / 20, 0.1, 10)))
    amount = arguments.number("usm", -100, 100)
    radius = clamp(arguments.number("usmrad", 0, 500) or _DEFAULT_RADIUS, 0.1, 10)
    if amount and amount > 0:
        masks.append((radius, clamp(amount / 50, 0.1, 10)))
    elif amount:
        sigma = radius * -amount / 100
        composition.adjustments += step("blur", clamp(sigma, 0.3, 250), "usm", arguments)
    after_noise = arguments.number("nrs", -100, 100)
    if after_noise and after_noise > 0:
        masks.append((1, clamp(after_noise / 50, 0.1, 10)))
    if masks and not composition.adjustments:
        composition.fields["sharpen"] = masks.pop(0)
    for mask in masks:
        composition.adjustments += step("sharp", mask, "sharp", arguments)


def _set_tones(arguments: Arguments, composition: Composition) -> None:
    """`monochrome` and `duotone` map luma to colours: linear, and so is their mix with the image."""
    mono = arguments.paint("monochrome")
    if mono is not None and mono.alpha:
        composition.adjustments += _toned(Colour(0, 0, 0), mono, "monochrome", arguments)
    ends = arguments.paints("duotone")
    alpha = arguments.number("duotone-alpha", 0, 100)
    if ends is None or alpha == 0:
        return
    dark, light = ends[0].colour, ends[1].colour
    if alpha in {None, 100} and not composition.adjustments:
        composition.fields["duotone"] = (dark, light)
    else:
        share = 1 if alpha is None else alpha / 100
        composition.adjustments += _toned(dark, Paint(light, share), "duotone", arguments)


def _toned(dark: Colour, light: Paint, parameter: str, arguments: Arguments) -> list[Step]:
    """The step that mixes the image with its luma as colours from ``dark`` to ``light``."""
    low, high = ((c.red, c.green, c.blue) for c in (dark, light.colour))
    numbers = [
        light.alpha * (high[row] - low[row]) / 255 * weight + (1 - light.alpha) * (row == column)
        for row in range(3)
        for column, weight in enumerate(_LUMA)
    ]
    offsets = [light.alpha * value for value in low]
    return step("matrix", tuple(map(normalise, (*numbers, *offsets))), parameter, arguments)
