"""Delivery, step 1: converts DIT's edits of colour and sharpness, which have sharp's names and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.transformation import Step

from .pipeline import GREY, Operation
from .values import as_colour, as_flag, as_number, as_object

_MILD_BLUR = 0.5
_MILD_SHARPEN = (0.5, 1)
_MAX_BLUR = 250

ORDER = ("median", "threshold", "blur", "convolve", "recomb", "modulate", "sharpen")
"""The order in which sharp applies operations before a watermark."""

LATE = ("linear", "normalise", "tint", "toColourspace", "extractChannel", "negate")
"""And those after it."""

ALIASES: Mapping[str, str] = MappingProxyType({"normalize": "normalise", "toColorspace": "toColourspace"})
_CHANNELS: Mapping[str | int, int] = MappingProxyType({"red": 0, "green": 1, "blue": 2, 0: 0, 1: 1, 2: 2})

Reader = Callable[[Any, RequestBuilder], Operation | None]
"""The operation of an edit's value; None if it changes nothing, or with a problem."""


def _blur(value: Any, builder: RequestBuilder) -> Operation | None:
    if value is True:
        return Operation(Step("blur", _MILD_BLUR), "blur", _MILD_BLUR)
    options = value.get("sigma") if isinstance(value, dict) else value
    if options is False:
        return None
    sigma = as_number(options, "blur", 0.3, 1000, builder)
    if sigma is None:
        return None
    sigma = min(sigma, _MAX_BLUR)
    return Operation(Step("blur", sigma), "blur", sigma)


def _sharpen(value: Any, builder: RequestBuilder) -> Operation | None:
    strength: tuple[float, float] = _MILD_SHARPEN
    if value is not True:
        options = value.get("sigma") if isinstance(value, dict) else value
        if options is False:
            return None
        sigma = as_number(options, "sharpen", 0.000001, 10000, builder)
        if sigma is None:
            return None
        strength = (clamp(sigma, 0.1, 10), 1)
    return Operation(Step("sharp", strength), "sharpen", strength)


def _median(value: Any, builder: RequestBuilder) -> Operation | None:
    size = as_number(value, "median", 1, 1000, builder)
    if size is None or size == 1:
        return None
    try:
        return Operation(Step("median", size), "median", size)
    except InvalidTransformation as error:
        builder.unsupported("median", error.problems[0].expected, value)
        return None


def _gamma(value: Any, builder: RequestBuilder) -> None:
    """sharp darkens before the resize and brightens by as much after it: nothing is left of both."""
    as_number(value, "gamma", 1, 3, builder)


def _tint(value: Any, builder: RequestBuilder) -> Operation | None:
    parsed = as_colour(value, "tint", builder)
    return None if parsed is None else Operation(Step("tint", parsed), "tint", parsed)


def _negate(value: Any, builder: RequestBuilder) -> Operation | None:
    is_on = isinstance(value, dict) or as_flag(value, "negate", builder)
    return Operation(Step("neg", value=True), "negate", value=True) if is_on else None


def _modulate(value: Any, builder: RequestBuilder) -> Operation | None:
    options = as_object(value, "modulate", builder)
    low_high = {
        "brightness": (0, 100),
        "saturation": (0, 100),
        "hue": (-(10**5), 10**5),
        "lightness": (-100, 100),
    }
    numbers = {"brightness": 1.0, "saturation": 1.0, "hue": 0.0, "lightness": 0.0}
    for name, (low, high) in low_high.items():
        if options.get(name) is not None:
            numbers[name] = as_number(options[name], f"modulate.{name}", low, high, builder) or 0
    hue = normalise(numbers["hue"] % 360)
    return Operation(Step("lch", (numbers["brightness"], numbers["saturation"], hue, numbers["lightness"])))


def _normalise(value: Any, builder: RequestBuilder) -> Operation | None:
    options = value if isinstance(value, dict) else {}
    if not (isinstance(value, dict) or as_flag(value, "normalize", builder)):
        return None
    low = as_number(options.get("lower", 1), "normalize.lower", 0, 99, builder)
    high = as_number(options.get("upper", 99), "normalize.upper", 1, 100, builder)
    return None if low is None or high is None else Operation(Step("norm", (low, high)))


def _linear(value: Any, builder: RequestBuilder) -> Operation | None:
    """The handler passes one argument to sharp: a factor for all channels."""
    factor = as_number(value, "linear", -1000, 1000, builder)
    return None if factor is None else Operation(Step("linear", (factor, 0)))


def _threshold(value: Any, builder: RequestBuilder) -> Operation | None:
    if value is False:
        return None
    level = 128 if value is True else as_number(value, "threshold", 0, 255, builder)
    return Operation(Step("threshold", round(level))) if level else None


def _recomb(value: Any, builder: RequestBuilder) -> Operation | None:
    rows = value if isinstance(value, list) else []
    if len(rows) != 3 or not all(isinstance(row, list) and len(row) == 3 for row in rows):
        builder.add_error("recomb", "three rows of three numbers", value)
        return None
    numbers = [as_number(number, "recomb", -1000, 1000, builder) for row in rows for number in row]
    return None if None in numbers else Operation(Step("matrix", tuple(numbers)))


def _convolve(value: Any, builder: RequestBuilder) -> Operation | None:
    options = as_object(value, "convolve", builder)
    kernel = options.get("kernel")
    if not isinstance(kernel, list):
        builder.add_error("convolve", "a kernel, which is a list of numbers", value)
        return None
    numbers = [as_number(number, "convolve", -1000, 1000, builder) for number in kernel[:226]]
    columns, rows = (
        as_number(options.get(side), f"convolve.{side}", 3, 1001, builder) for side in ("width", "height")
    )
    if None in numbers or columns is None or rows is None:
        return None
    kernel = [number or 0 for number in numbers]
    made = _correlation(kernel, (columns, rows), options.get("scale"), builder)
    offset = as_number(options.get("offset", 0), "convolve.offset", -255, 255, builder)
    if made is None or not offset:
        return made
    return replace(made, second=Step("linear", (1, offset)))


def _correlation(
    numbers: list[float], sides: tuple[float, float], scale: Any, builder: RequestBuilder
) -> Operation | None:
    """As in sharp, the result is divided by ``scale``, by default by the sum, if that is at least 1."""
    total = sum(numbers)
    divisor = scale if isinstance(scale, int) and not isinstance(scale, bool) else total
    divides = divisor == total and total >= 1
    if not divides and divisor > 1:
        numbers = [normalise(number / divisor) for number in numbers]
    columns, rows = sides
    if len(numbers) != columns * rows:
        builder.add_error("convolve.kernel", f"{columns} times {rows} numbers", numbers)
        return None
    try:
        step = Step("conv", (int(columns), divides, *numbers))
    except InvalidTransformation:
        builder.unsupported("convolve", "3 to 15 columns and rows, odd numbers of them", numbers)
        return None
    as_field = divides and columns == rows and columns in {3, 5}
    return Operation(step, "convolve", tuple(numbers)) if as_field else Operation(step)


def _extract_channel(value: Any, builder: RequestBuilder) -> Operation | None:
    """One channel as a grey image."""
    is_named = isinstance(value, str | int) and not isinstance(value, bool)
    channel = _CHANNELS.get(value) if is_named else None
    if channel is None:
        builder.unsupported("extractChannel", "red, green, blue or its number", value)
        return None
    row = [int(number == channel) for number in range(3)]
    return Operation(Step("matrix", tuple(row * 3)))


def _to_colourspace(value: Any, builder: RequestBuilder) -> Operation | None:
    if value in ("srgb", "rgb", "rgb16"):
        return None
    if value not in ("b-w", "grey16"):
        builder.unsupported("toColourspace", "srgb or b-w", value)
        return None
    return Operation(GREY)


OPERATIONS: Mapping[str, Reader] = MappingProxyType(
    {
        "blur": _blur,
        "convolve": _convolve,
        "extractChannel": _extract_channel,
        "gamma": _gamma,
        "linear": _linear,
        "median": _median,
        "modulate": _modulate,
        "negate": _negate,
        "normalise": _normalise,
        "normalize": _normalise,
        "recomb": _recomb,
        "sharpen": _sharpen,
        "threshold": _threshold,
        "tint": _tint,
        "toColorspace": _to_colourspace,
        "toColourspace": _to_colourspace,
    }
)
