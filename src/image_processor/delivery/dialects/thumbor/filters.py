"""Dialects: thumbor's filters, each a function that puts what it means into a `RequestBuilder`.

docs/dialects.md tells for each how its numbers become ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from image_processor.delivery.dialects.filter_parser import Call
from image_processor.delivery.dialects.request_builder import RequestBuilder, clamped, plain
from image_processor.delivery.dialects.rotation import rotate_last
from image_processor.delivery.dialects.watermark import place, position_fields, share
from image_processor.domain.transformation import Edge, Fit, ImageOverlay

_FOCAL = re.compile(r"([0-9]{1,9})x([0-9]{1,9}):([0-9]{1,9})x([0-9]{1,9})")
_MOST_SIGMA = 250
_LEAST_SIGMA = 0.3
"""A blur of less changes nothing that could be seen."""

FilterReader = Callable[[Sequence[str], RequestBuilder], None]


def apply(calls: Sequence[Call], builder: RequestBuilder) -> None:
    """Put what each of ``calls`` means into ``builder``. Their order means nothing but among overlays."""
    for call in calls:
        row = FILTERS.get(call.name)
        if row is None:
            builder.lacks(call.name, "one of " + ", ".join(sorted(FILTERS)), call.text)
            continue
        least, most, form, read = row
        given = () if call.arguments == ("",) else call.arguments
        if least <= len(given) <= most:
            read(given, builder)
        else:
            builder.wrong(call.name, f"{call.name}({form})", call.text)
    rotate_last(builder)


def _quality(given: Sequence[str], builder: RequestBuilder) -> None:
    value = builder.whole(given[0], "quality", 1, 100)
    if value is not None:
        builder.values["quality"] = value


def _format(given: Sequence[str], builder: RequestBuilder) -> None:
    builder.written(given[0], "format")


def _autojpg(given: Sequence[str], builder: RequestBuilder) -> None:
    if not given or builder.flag(given[0], "autojpg"):
        builder.written("auto", "autojpg", automatic=("auto",))


def _max_bytes(given: Sequence[str], builder: RequestBuilder) -> None:
    value = builder.whole(given[0], "max_bytes", 100, 100_000_000)
    if value is not None:
        builder.values["max_bytes"] = value


def _background(given: Sequence[str], builder: RequestBuilder) -> None:
    colour = builder.colour(given[0], "background_color")
    if colour is not None:
        builder.values["background"] = colour


def _fill(given: Sequence[str], builder: RequestBuilder) -> None:
    if len(given) > 1:
        builder.flag(given[1], "fill")
    if given[0] == "auto":
        builder.lacks("fill", "a colour, transparent or blur", "auto")
        return
    if given[0] == "blur":
        builder.values["edge"] = Edge.BLUR
    elif given[0] != "transparent":
        colour = builder.colour(given[0], "fill")
        if colour is not None:
            builder.values["background"] = colour
    if builder.values.get("fit") is Fit.INSIDE:
        builder.values["fit"] = Fit.CONTAIN


def _blur(given: Sequence[str], builder: RequestBuilder) -> None:
    radius = builder.number(given[0], "blur", 0, _MOST_SIGMA)
    sigma = builder.number(given[1], "blur", 0, _MOST_SIGMA) if len(given) > 1 else radius
    if sigma is not None and sigma >= _LEAST_SIGMA:
        builder.values["blur"] = sigma


def _sharpen(given: Sequence[str], builder: RequestBuilder) -> None:
    amount, radius = builder.number(given[0], "sharpen", 0, 10), builder.number(given[1], "sharpen", 0, 10)
    if len(given) > 2:
        builder.flag(given[2], "sharpen")
    if amount and radius:
        builder.values["sharpen"] = (clamped(radius, 0.1, 10), clamped(amount, 0.1, 10))


def _percent(name: str) -> FilterReader:
    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        value = builder.number(given[0], name, -100, 100)
        if value is not None:
            builder.values[name] = value

    return read


def _saturation(given: Sequence[str], builder: RequestBuilder) -> None:
    factor = builder.number(given[0], "saturation", 0, 2)
    if factor is not None:
        builder.values["saturation"] = plain(100 * factor - 100)


def _switch(field: str) -> FilterReader:
    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        del given
        builder.values[field] = True

    return read


def _rgb(given: Sequence[str], builder: RequestBuilder) -> None:
    amounts = {builder.number(text, "rgb", -100, 100) for text in given}
    if None in amounts:
        return
    if len(amounts) > 1:
        builder.lacks("rgb", "three equal amounts, as no channel is changed alone here", ",".join(given))
        return
    builder.values["brightness"] = amounts.pop()


def _rotate(given: Sequence[str], builder: RequestBuilder) -> None:
    degrees = builder.number(given[0], "rotate", -100_000, 100_000)
    if degrees is not None:
        builder.values["rotate"] = plain(-degrees % 360)


def _round_corner(given: Sequence[str], builder: RequestBuilder) -> None:
    radii = {builder.whole(text, "round_corner", 0, 16_383) for text in given[0].split("|")}
    channels = [builder.whole(text, "round_corner", 0, 255) for text in given[1:4]]
    clear = builder.flag(given[4], "round_corner") if len(given) > 4 else False
    if None in radii or None in channels or clear is None:
        return
    if len(radii) > 1:
        builder.lacks("round_corner", "one radius", given[0])
        return
    builder.put("round", (radii.pop(),) * 4, "round_corner")
    if not clear:
        colour = builder.colour("".join(f"{channel or 0:02x}" for channel in channels), "round_corner")
        builder.values["background"] = colour


def _convolution(given: Sequence[str], builder: RequestBuilder) -> None:
    numbers = [builder.number(text, "convolution", -1000, 1000) for text in given[0].split(";")]
    columns = builder.whole(given[1], "convolution", 1, 1000)
    scaled = builder.flag(given[2], "convolution") if len(given) > 2 else True
    if None in numbers or columns is None or scaled is None:
        return
    if len(numbers) != columns**2 or columns not in {3, 5}:
        builder.lacks("convolution", "3 or 5 columns and as many rows", given[0])
    elif not scaled and plain(sum(number or 0 for number in numbers)) not in {0, 1}:
        builder.lacks("convolution", "true, as numbers are always divided by their sum here", "false")
    else:
        builder.put("convolve", tuple(numbers), "convolution")


def _watermark(given: Sequence[str], builder: RequestBuilder) -> None:
    key = builder.key(given[0], "watermark")
    x, y = place(given[1], "watermark", builder), place(given[2], "watermark", builder)
    clear = builder.number(given[3], "watermark", 0, 100)
    shares = [share(text, "watermark", builder) for text in given[4:]]
    if key is None or clear is None or x is None or y is None:
        return
    fields = {"image": key, "opacity": round(100 - clear), **position_fields(x, y)}
    fields |= {side: part for side, part in zip(("width", "height"), shares, strict=False) if part}
    builder.overlay(ImageOverlay, fields, "watermark")


def _stretch(given: Sequence[str], builder: RequestBuilder) -> None:
    del given
    if builder.values.get("fit") is Fit.COVER:
        builder.values["fit"] = Fit.FILL


def _enlarge(*, wanted: bool) -> FilterReader:
    def read(given: Sequence[str], builder: RequestBuilder) -> None:
        del given
        if "fit" in builder.values:
            builder.values["enlarge"] = wanted

    return read


def _proportion(given: Sequence[str], builder: RequestBuilder) -> None:
    part = builder.number(given[0], "proportion", 0.01, 1)
    if part is not None:
        builder.values["zoom"] = part


def _focal(given: Sequence[str], builder: RequestBuilder) -> None:
    match = _FOCAL.fullmatch(given[0])
    if match is None:
        builder.wrong("focal", "focal(LEFTxTOP:RIGHTxBOTTOM)", given[0])
        return
    left, top, right, bottom = map(int, match.groups())
    builder.focus = ((left + right) / 2, (top + bottom) / 2)


def _cover(given: Sequence[str], builder: RequestBuilder) -> None:
    del given
    builder.values["frame"] = 1


def _nothing(given: Sequence[str], builder: RequestBuilder) -> None:
    """What is done anyway."""


# The least and the most arguments, their form, and what reads them.
FILTERS: dict[str, tuple[int, int, str, FilterReader]] = {
    "autojpg": (0, 1, "", _autojpg),
    "background_color": (1, 1, "COLOUR", _background),
    "blur": (1, 2, "RADIUS,SIGMA", _blur),
    "brightness": (1, 1, "AMOUNT", _percent("brightness")),
    "contrast": (1, 1, "AMOUNT", _percent("contrast")),
    "convolution": (2, 3, "NUMBERS,COLUMNS,DIVIDE", _convolution),
    "cover": (0, 0, "", _cover),
    "equalize": (0, 0, "", _switch("equalise")),
    "fill": (1, 2, "COLOUR,TRANSPARENT_TOO", _fill),
    "focal": (1, 1, "LEFTxTOP:RIGHTxBOTTOM", _focal),
    "format": (1, 1, "NAME", _format),
    "grayscale": (0, 0, "", _switch("grey")),
    "max_bytes": (1, 1, "BYTES", _max_bytes),
    "no_upscale": (0, 0, "", _enlarge(wanted=False)),
    "proportion": (1, 1, "SHARE", _proportion),
    "quality": (1, 1, "1-100", _quality),
    "rgb": (3, 3, "RED,GREEN,BLUE", _rgb),
    "rotate": (1, 1, "DEGREES", _rotate),
    "round_corner": (4, 5, "RADIUS,RED,GREEN,BLUE,TRANSPARENT", _round_corner),
    "saturation": (1, 1, "FACTOR", _saturation),
    "sharpen": (2, 3, "AMOUNT,RADIUS,LUMINANCE_ONLY", _sharpen),
    "stretch": (0, 0, "", _stretch),
    "strip_exif": (0, 0, "", _nothing),
    "strip_icc": (0, 0, "", _nothing),
    "upscale": (0, 0, "", _enlarge(wanted=True)),
    "watermark": (4, 6, "KEY,X,Y,TRANSPARENCY,WIDTH,HEIGHT", _watermark),
}
