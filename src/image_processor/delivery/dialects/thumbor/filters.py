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
from image_processor.domain.transformation import Edge, Fit, Flip, Gravity, ImageOverlay

_FOCAL = re.compile(r"([0-9]{1,9})x([0-9]{1,9}):([0-9]{1,9})x([0-9]{1,9})")
_MAX_SIGMA = 250
_MIN_SIGMA = 0.3
"""A blur of less has no visible effect."""

FilterReader = Callable[[Sequence[str], RequestBuilder], None]
"""Applies a filter's arguments to a builder."""


class FilterSpec(Struct, frozen=True):
    """How many arguments a filter takes, their form for error messages, and what applies them."""

    min_arguments: int
    max_arguments: int
    form: str
    read: FilterReader


def apply(calls: Sequence[FilterCall], builder: RequestBuilder) -> None:
    """Apply the filters to ``builder``. Their order matters for overlays only."""
    for call in calls:
        spec = FILTERS.get(call.name)
        if spec is None:
            builder.unsupported(call.name, "one of " + ", ".join(sorted(FILTERS)), call.text)
            continue
        arguments = () if call.arguments == ("",) else call.arguments
        if spec.min_arguments <= len(arguments) <= spec.max_arguments:
            spec.read(arguments, builder)
        else:
            builder.add_error(call.name, f"{call.name}({spec.form})", call.text)
    _apply_order(builder)


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
    value = builder.integer(arguments[0], "max_bytes", 100, 100_000_000)
    if value is not None:
        builder.values["max_bytes"] = value


def _background(arguments: Sequence[str], builder: RequestBuilder) -> None:
    colour = builder.colour(arguments[0], "background_color")
    if colour is not None:
        builder.values["background"] = colour


def _fill(arguments: Sequence[str], builder: RequestBuilder) -> None:
    if len(arguments) > 1:
        builder.flag(arguments[1], "fill")
    if arguments[0] == "auto":
        builder.unsupported("fill", "a colour, transparent or blur", "auto")
        return
    if arguments[0] == "blur":
        builder.values["edge"] = Edge.BLUR
    elif arguments[0] != "transparent":
        colour = builder.colour(arguments[0], "fill")
        if colour is not None:
            builder.values["background"] = colour
    if builder.values.get("fit") is Fit.INSIDE:
        builder.values["fit"] = Fit.CONTAIN


def _blur(arguments: Sequence[str], builder: RequestBuilder) -> None:
    radius = builder.number(arguments[0], "blur", 0, _MAX_SIGMA)
    sigma = builder.number(arguments[1], "blur", 0, _MAX_SIGMA) if len(arguments) > 1 else radius
    if sigma is not None and sigma >= _MIN_SIGMA:
        builder.values["blur"] = sigma


def _sharpen(arguments: Sequence[str], builder: RequestBuilder) -> None:
    amount, radius = (
        builder.number(arguments[0], "sharpen", 0, 10),
        builder.number(arguments[1], "sharpen", 0, 10),
    )
    if len(arguments) > 2:
        builder.flag(arguments[2], "sharpen")
    if amount and radius:
        builder.values["sharpen"] = (clamp(radius, 0.1, 10), clamp(amount, 0.1, 10))


def _percent(name: str) -> FilterReader:
    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.number(arguments[0], name, -100, 100)
        if value is not None:
            builder.values[name] = value

    return read


def _saturation(arguments: Sequence[str], builder: RequestBuilder) -> None:
    factor = builder.number(arguments[0], "saturation", 0, 2)
    if factor is not None:
        builder.values["saturation"] = normalise(100 * factor - 100)


def _switch(field: str) -> FilterReader:
    def read(arguments: Sequence[str], builder: RequestBuilder) -> None:
        del arguments
        builder.values[field] = True

    return read


def _rgb(arguments: Sequence[str], builder: RequestBuilder) -> None:
    amounts = {builder.number(text, "rgb", -100, 100) for text in arguments}
    if None in amounts:
        return
    if len(amounts) > 1:
        builder.unsupported(
            "rgb", "three equal amounts, as single channels cannot be changed", ",".join(arguments)
        )
        return
    builder.values["brightness"] = amounts.pop()


def _rotate(arguments: Sequence[str], builder: RequestBuilder) -> None:
    degrees = builder.number(arguments[0], "rotate", -100_000, 100_000)
    if degrees is not None:
        builder.values["rotate"] = normalise(-degrees % 360)


def _round_corner(arguments: Sequence[str], builder: RequestBuilder) -> None:
    radii = {builder.integer(text, "round_corner", 0, 16_383) for text in arguments[0].split("|")}
    channels = [builder.integer(text, "round_corner", 0, 255) for text in arguments[1:4]]
    clear = builder.flag(arguments[4], "round_corner") if len(arguments) > 4 else False
    if None in radii or None in channels or clear is None:
        return
    if len(radii) > 1:
        builder.unsupported("round_corner", "one radius", arguments[0])
        return
    builder.set_field("round", (radii.pop(),) * 4, "round_corner")
    if not clear:
        colour = builder.colour("".join(f"{channel or 0:02x}" for channel in channels), "round_corner")
        builder.values["background"] = colour


def _convolution(arguments: Sequence[str], builder: RequestBuilder) -> None:
    numbers = [builder.number(text, "convolution", -1000, 1000) for text in arguments[0].split(";")]
    columns = builder.integer(arguments[1], "convolution", 1, 1000)
    scaled = builder.flag(arguments[2], "convolution") if len(arguments) > 2 else True
    if None in numbers or columns is None or scaled is None:
        return
    if len(numbers) != columns**2 or columns not in {3, 5}:
        builder.unsupported("convolution", "3 or 5 columns and as many rows", arguments[0])
    elif not scaled and normalise(sum(number or 0 for number in numbers)) not in {0, 1}:
        builder.unsupported("convolution", "true, as the numbers are always divided by their sum", "false")
    else:
        builder.set_field("convolve", tuple(numbers), "convolution")


def _watermark(arguments: Sequence[str], builder: RequestBuilder) -> None:
    key = builder.parse_key(arguments[0], "watermark")
    x, y = (
        parse_position(arguments[1], "watermark", builder),
        parse_position(arguments[2], "watermark", builder),
    )
    clear = builder.number(arguments[3], "watermark", 0, 100)
    shares = [parse_percentage(text, "watermark", builder) for text in arguments[4:]]
    if key is None or clear is None or x is None or y is None:
        return
    fields = {"image": key, "opacity": round(100 - clear), **position_fields(x, y)}
    fields |= {side: part for side, part in zip(("width", "height"), shares, strict=False) if part}
    builder.add_overlay(ImageOverlay, fields, "watermark")


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


def _proportion(arguments: Sequence[str], builder: RequestBuilder) -> None:
    part = builder.number(arguments[0], "proportion", 0.01, 1)
    if part is not None:
        builder.values["zoom"] = part


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
    "brightness": FilterSpec(1, 1, "AMOUNT", _percent("brightness")),
    "contrast": FilterSpec(1, 1, "AMOUNT", _percent("contrast")),
    "convolution": FilterSpec(2, 3, "NUMBERS,COLUMNS,DIVIDE", _convolution),
    "cover": FilterSpec(0, 0, "", _cover),
    "equalize": FilterSpec(0, 0, "", _switch("equalise")),
    "fill": FilterSpec(1, 2, "COLOUR,TRANSPARENT_TOO", _fill),
    "focal": FilterSpec(1, 1, "LEFTxTOP:RIGHTxBOTTOM", _focal),
    "format": FilterSpec(1, 1, "NAME", _format),
    "grayscale": FilterSpec(0, 0, "", _switch("grey")),
    "max_bytes": FilterSpec(1, 1, "BYTES", _max_bytes),
    "no_upscale": FilterSpec(0, 0, "", _enlarge(enlarge=False)),
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
    "upscale": FilterSpec(0, 0, "", _enlarge(enlarge=True)),
    "watermark": FilterSpec(4, 6, "KEY,X,Y,TRANSPARENCY,WIDTH,HEIGHT", _watermark),
}
