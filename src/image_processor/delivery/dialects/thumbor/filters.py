"""Delivery, step 1: thumbor's filters, each a function that sets fields of a `RequestBuilder`.

docs/dialects.md documents how the values of each are converted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from image_processor.delivery.dialects.filter_syntax import (
    FilterCall,
    parse_percentage,
    parse_position,
    position_fields,
)
from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.delivery.request import SizingRule
from image_processor.domain.transformation import (
    STEP_KINDS,
    Backdrop,
    Colour,
    Fit,
    Flip,
    Gravity,
    ImageOverlay,
)

from .geometry import Filter, blur_sigma

_FOCAL = re.compile(r"([0-9]{1,9})x([0-9]{1,9}):([0-9]{1,9})x([0-9]{1,9})")
_MAX_SIGMA = 250
_MIN_SIGMA = 0.3
"""A blur of less has no visible effect."""

FilterReader = Callable[[Sequence[str], RequestBuilder], Sequence[Filter] | None]
"""Applies a filter's arguments to a builder. Returns what it does to the resized image, at its place among
the others; None if its place does not matter."""


class FilterSpec(Struct, frozen=True):
    """How many arguments a filter takes, their form for error messages, and what applies them."""

    min_arguments: int
    max_arguments: int
    form: str
    read: FilterReader


_FIELDS_OF = {
    "grey": "grey",
    "blur": "blur",
    "over": "overlays",
    "rotate": "rotate",
    "round": "round",
    "bg": "background",
}
"""Ordered filters that a field expresses as well, if they are alone."""


def apply(calls: Sequence[FilterCall], builder: RequestBuilder) -> Sequence[Filter]:
    """Apply the filters to ``builder``. Returns those that must run in their order, for a `FilterChain`;
    none if the fields of the transformation say the same."""
    ordered: list[Filter] = []
    for call in calls:
        spec = FILTERS.get(call.name)
        if spec is None:
            builder.unsupported(call.name, "one of " + ", ".join(sorted(FILTERS)), call.text)
            continue
        arguments = () if call.arguments == ("",) else call.arguments
        if spec.min_arguments <= len(arguments) <= spec.max_arguments:
            ordered += spec.read(arguments, builder) or ()
        else:
            builder.add_error(call.name, f"{call.name}({spec.form})", call.text)
    names = [step.name for step in ordered]
    is_plain = len(set(names)) == len(names) and (len(names) < 2 or set(names) == {"round", "bg"})
    if is_plain and set(names) <= _FIELDS_OF.keys():
        _apply_order(builder)
        return ()
    builder.remove_fields(*(_FIELDS_OF[name] for name in names if name in _FIELDS_OF))
    return ordered


def _quality(arguments: Sequence[str], builder: RequestBuilder) -> None:
    value = builder.integer(arguments[0], "quality", 1, 100)
    if value is not None:
        builder.values["quality"] = value


def _format(arguments: Sequence[str], builder: RequestBuilder) -> None:
    builder.set_format(arguments[0], "format")


def _autojpg(arguments: Sequence[str], builder: RequestBuilder) -> None:
    if not arguments or builder.flag(arguments[0], "autojpg"):
        builder.set_format("auto", "autojpg", automatic=("auto",))


def _max_bytes(arguments: Sequence[str], builder: RequestBuilder) -> None:
    builder.set_soft_limit(builder.integer(arguments[0], "max_bytes", 0, 10**12))


def _background(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    colour = builder.colour(arguments[0], "background_color")
    if colour is None:
        return None
    builder.values["background"] = colour
    return [Filter("bg", (colour,))]


def _fill(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    under = bool(builder.flag(arguments[1], "fill")) if len(arguments) > 1 else False
    named = {"auto": Backdrop.MEAN, "blur": Backdrop.BLURRED, "transparent": None}
    if arguments[0] in named:
        return [Filter("fill", (named[arguments[0]], under))]
    colour = builder.colour(arguments[0], "fill")
    return None if colour is None else [Filter("fill", (colour, under))]


def _blur(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    radius = builder.integer(arguments[0], "blur", 1, 10_000)
    sigma = builder.number(arguments[1], "blur", 0, 10_000) if len(arguments) > 1 else 0
    if radius is None or sigma is None:
        return None
    effective = clamp(blur_sigma(radius, sigma or radius), 0, _MAX_SIGMA)
    if effective < _MIN_SIGMA:
        return None
    builder.values["blur"] = effective
    return [Filter("blur", (effective,))]


def _sharpen(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    amount, radius = (
        builder.number(arguments[0], "sharpen", 0, 100),
        builder.number(arguments[1], "sharpen", 0, 100),
    )
    if len(arguments) > 2:
        builder.flag(arguments[2], "sharpen")
    if not (amount and radius):
        return None
    return [Filter("sharp", ((clamp(radius, 0.1, 10), clamp(amount / 4, 0.1, 10)),))]


def _brightness(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    percent = builder.number(arguments[0], "brightness", -1000, 1000)
    return None if percent is None else [Filter("linear", ((1, int(percent * 2.55)),))]


def _contrast(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    percent = builder.number(arguments[0], "contrast", -1000, 1000)
    if percent is None:
        return None
    slope = int((percent + 100) ** 2 / 100) / 100
    return [Filter("linear", ((clamp(slope, 0, 1000), clamp(128 - 128 * slope, -1000, 1000)),))]


def _colorize(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    percents = [builder.number(text, "colorize", 0, 100) for text in arguments[:3]]
    colour = builder.colour(arguments[3], "colorize")
    if None in percents or colour is None:
        return None
    shares = [(percent or 0) / 100 for percent in percents]
    channels = (colour.red, colour.green, colour.blue)
    offsets = [normalise(share * channel) for share, channel in zip(shares, channels, strict=True)]
    return [Filter("linear", ((*(normalise(1 - share) for share in shares), *offsets),))]


def _noise(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    amount = builder.number(arguments[0], "noise", 0, 255)
    seed = builder.integer(arguments[1], "noise", 0, 10**9) if len(arguments) > 1 else 0
    return [Filter("noise", ((amount, seed),))] if amount and seed is not None else None


def _grey(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter]:
    del arguments
    builder.values["grey"] = True
    return [Filter("grey", (True,))]


def _equalize(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter]:
    del arguments, builder
    return [Filter("equal", (True,))]


def _max_age(arguments: Sequence[str], builder: RequestBuilder) -> None:
    builder.max_age = builder.integer(arguments[0], "max_age", 0, 10**9)


def _saturation(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    factor = builder.number(arguments[0], "saturation", -1000, 1000)
    return None if factor is None else [Filter("saturate", (factor,))]


def _rgb(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    amounts = [builder.number(text, "rgb", -1000, 1000) for text in arguments]
    if None in amounts:
        return None
    return [Filter("linear", ((1, 1, 1, *(int((amount or 0) * 2.55) for amount in amounts)),))]


def _rotate(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    degrees = builder.integer(arguments[0], "rotate", -100_000, 100_000)
    if degrees is None or degrees % 90:
        return None  # thumbor ignores other angles, too
    clockwise = -degrees % 360
    builder.values["rotate"] = clockwise
    return [Filter("rotate", ((clockwise,),))]


def _round_corner(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    radii = [builder.integer(text, "round_corner", 0, 16_383) for text in arguments[0].split("|")[:2]]
    channels = [builder.integer(text, "round_corner", 0, 255) for text in arguments[1:4]]
    clear = builder.flag(arguments[4], "round_corner") if len(arguments) > 4 else False
    if None in radii or None in channels or clear is None:
        return None
    if len(set(radii)) > 1 and all(radii):
        steps = [Filter("corners", ((radii[0], radii[1]),))]
    else:
        corners = (radii[0],) * 4
        builder.set_field("round", corners, "round_corner")
        steps = [Filter("round", (corners,))]
    if not clear:
        colour = Colour(*(channel or 0 for channel in channels))
        builder.values["background"] = colour
        steps.append(Filter("bg", (colour,)))
    return steps


def _convolution(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    numbers = [builder.number(text, "convolution", -1000, 1000) for text in arguments[0].split(";")]
    columns = builder.integer(arguments[1], "convolution", 1, 15)
    divide = builder.flag(arguments[2], "convolution") if len(arguments) > 2 else True
    if None in numbers or columns is None or divide is None:
        return None
    value = (columns, divide, *numbers)
    if not STEP_KINDS["conv"].type.is_valid(value):
        builder.unsupported("convolution", "odd numbers of columns and rows, up to 15", arguments[0])
        return None
    return [Filter("conv", (value,))]


def _watermark(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    key = builder.parse_key(arguments[0], "watermark")
    x, y = (
        parse_position(arguments[1], "watermark", builder),
        parse_position(arguments[2], "watermark", builder),
    )
    clear = builder.number(arguments[3], "watermark", 0, 100)
    shares = [parse_percentage(text, "watermark", builder) for text in arguments[4:]]
    if key is None or clear is None or x is None or y is None:
        return None
    fields = {"image": key, "opacity": round(100 - clear), **position_fields(x, y)}
    fields |= {side: part for side, part in zip(("width", "height"), shares, strict=False) if part}
    before = len(builder.values.get("overlays", ()))
    builder.add_overlay(ImageOverlay, fields, "watermark")
    added = builder.values.get("overlays", ())[before:]
    return [Filter("over", (overlay,)) for overlay in added]


def _stretch(arguments: Sequence[str], builder: RequestBuilder) -> None:
    del arguments
    if builder.values.get("fit") is Fit.COVER:
        builder.values["fit"] = Fit.FILL


def _enlarge(*, enlarge: bool) -> FilterReader:
    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        del arguments
        if "fit" in builder.values:
            builder.values["enlarge"] = enlarge

    return read


def _upscale(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter]:
    del arguments, builder
    return [Filter("upscale")]


def _proportion(arguments: Sequence[str], builder: RequestBuilder) -> Sequence[Filter] | None:
    part = builder.number(arguments[0], "proportion", -1000, 1000)
    return [Filter("proportion", (part,))] if part is not None and 0 < part <= 1 else None


def _focal(arguments: Sequence[str], builder: RequestBuilder) -> None:
    match = _FOCAL.fullmatch(arguments[0])
    if match is None:
        builder.add_error("focal", "focal(LEFTxTOP:RIGHTxBOTTOM)", arguments[0])
        return
    left, top, right, bottom = map(int, match.groups())
    builder.focus = ((left + right) / 2, (top + bottom) / 2)


def _cover(arguments: Sequence[str], builder: RequestBuilder) -> None:
    del arguments
    builder.values["frame"] = 1


def _no_effect(arguments: Sequence[str], builder: RequestBuilder) -> None:
    """A filter whose effect is always on."""


def _apply_order(builder: RequestBuilder) -> None:
    """Adapt the fields to the order of operations.

    thumbor crops, then flips, then rotates; this program rotates, flips, then crops. So a flipped image
    is rotated the other way, the target size is turned, and the gravity is another side."""
    values = builder.values
    degrees, flip = values.get("rotate", 0), values.get("flip")
    if flip in {Flip.HORIZONTAL, Flip.VERTICAL} and degrees:
        values["rotate"] = degrees = normalise(-degrees % 360)
    gravity = values.get("gravity")
    if gravity in _CLOCKWISE:
        values["gravity"] = _turned_gravity(gravity, round(degrees / 90), flip)
    if degrees % 180 != 90:
        return
    sides = {"width": values.get("height"), "height": values.get("width")}
    builder.remove_fields(*sides)
    values.update({field: side for field, side in sides.items() if side is not None})
    if builder.sizing in _TURNED_RULE:
        builder.sizing = _TURNED_RULE[builder.sizing]


_TURNED_RULE = {
    SizingRule.ORIGINAL_WIDTH: SizingRule.ORIGINAL_HEIGHT,
    SizingRule.ORIGINAL_HEIGHT: SizingRule.ORIGINAL_WIDTH,
}
_CLOCKWISE = tuple(Gravity)[1:9]


def _turned_gravity(gravity: Gravity, quarters: int, flip: Flip | None) -> Gravity:
    """The side or corner after ``quarters`` clockwise quarter turns and a flip."""
    at = _CLOCKWISE.index(gravity) + 2 * quarters
    if flip in {Flip.HORIZONTAL, Flip.BOTH}:
        at = -at
    if flip in {Flip.VERTICAL, Flip.BOTH}:
        at = 4 - at
    return _CLOCKWISE[at % 8]


FILTERS: dict[str, FilterSpec] = {
    "autojpg": FilterSpec(0, 1, "", _autojpg),
    "background_color": FilterSpec(1, 1, "COLOUR", _background),
    "blur": FilterSpec(1, 2, "RADIUS,SIGMA", _blur),
    "brightness": FilterSpec(1, 1, "AMOUNT", _brightness),
    "colorize": FilterSpec(4, 4, "RED,GREEN,BLUE,COLOUR", _colorize),
    "contrast": FilterSpec(1, 1, "AMOUNT", _contrast),
    "convolution": FilterSpec(2, 3, "NUMBERS,COLUMNS,DIVIDE", _convolution),
    "cover": FilterSpec(0, 0, "", _cover),
    "equalize": FilterSpec(0, 0, "", _equalize),
    "fill": FilterSpec(1, 2, "COLOUR,TRANSPARENT_TOO", _fill),
    "focal": FilterSpec(1, 1, "LEFTxTOP:RIGHTxBOTTOM", _focal),
    "format": FilterSpec(1, 1, "NAME", _format),
    "grayscale": FilterSpec(0, 0, "", _grey),
    "max_age": FilterSpec(1, 1, "SECONDS", _max_age),
    "max_bytes": FilterSpec(1, 1, "BYTES", _max_bytes),
    "no_upscale": FilterSpec(0, 0, "", _enlarge(enlarge=False)),
    "noise": FilterSpec(1, 2, "AMOUNT,SEED", _noise),
    "proportion": FilterSpec(1, 1, "SHARE", _proportion),
    "quality": FilterSpec(1, 1, "1-100", _quality),
    "rgb": FilterSpec(3, 3, "RED,GREEN,BLUE", _rgb),
    "rotate": FilterSpec(1, 1, "DEGREES", _rotate),
    "round_corner": FilterSpec(4, 5, "RADIUS,RED,GREEN,BLUE,TRANSPARENT", _round_corner),
    "saturation": FilterSpec(1, 1, "FACTOR", _saturation),
    "sharpen": FilterSpec(2, 3, "AMOUNT,RADIUS,LUMINANCE_ONLY", _sharpen),
    "stretch": FilterSpec(0, 0, "", _stretch),
    "strip_exif": FilterSpec(0, 0, "", _no_effect),
    "strip_icc": FilterSpec(0, 0, "", _no_effect),
    "upscale": FilterSpec(0, 0, "", _upscale),
    "watermark": FilterSpec(4, 6, "KEY,X,Y,TRANSPARENCY,WIDTH,HEIGHT", _watermark),
}
