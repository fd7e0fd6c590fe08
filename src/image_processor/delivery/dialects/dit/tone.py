"""Delivery, step 1: converts DIT's edits of colour and sharpness, which have sharp's names and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.domain.transformation import BLACK, Step

from .values import as_colour, as_flag, as_number, as_object

_MILD_BLUR = 0.5
_MILD_SHARPEN = (0.5, 1)


def _switch(name: str, field: str) -> Callable[[Any, RequestBuilder], None]:
    def read(value: Any, builder: RequestBuilder) -> None:
        if as_flag(value, name, builder):
            builder.values[field] = True

    return read


def _blur(value: Any, builder: RequestBuilder) -> None:
    if value is True:
        builder.values["blur"] = _MILD_BLUR
        return
    options = value.get("sigma") if isinstance(value, dict) else value
    if options is False:
        return
    sigma = as_number(options, "blur", 0, 1000, builder)
    if sigma is not None and sigma >= 0.3:
        builder.set_field("blur", sigma, "blur")


def _sharpen(value: Any, builder: RequestBuilder) -> None:
    if value is True:
        builder.values["sharpen"] = _MILD_SHARPEN
        return
    options = value.get("sigma") if isinstance(value, dict) else value
    if options is False:
        return
    sigma = as_number(options, "sharpen", 0, 10, builder)
    if sigma:
        builder.values["sharpen"] = (clamp(sigma, 0.1, 10), 1)


def _median(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    size = 3 if value is True else as_number(value, "median", 1, 1000, builder)
    if size is not None and size != 1:
        builder.set_field("median", size, "median")


def _gamma(value: Any, builder: RequestBuilder) -> None:
    """sharp darkens before the resize and brightens by as much after it: nothing is left of both."""
    if value not in (True, False):
        as_number(value, "gamma", 1, 3, builder)


def _flatten(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    options = as_object(value, "flatten", builder)
    if options.get("background") is None:
        builder.values["background"] = BLACK
        return
    parsed = as_colour(options["background"], "flatten.background", builder)
    builder.values.update({} if parsed is None else {"background": parsed})


def _tint(value: Any, builder: RequestBuilder) -> None:
    parsed = as_colour(value, "tint", builder)
    builder.values.update({} if parsed is None else {"tint": parsed})


def _modulate(value: Any, builder: RequestBuilder) -> None:
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
    for name in options.keys() - numbers.keys():
        builder.unsupported(f"modulate.{name}")
    hue = normalise(numbers["hue"] % 360)
    add_step(
        builder,
        Step("lch", (numbers["brightness"], numbers["saturation"], hue, numbers["lightness"])),
    )


def _normalise(value: Any, builder: RequestBuilder) -> None:
    options = value if isinstance(value, dict) else {}
    if not (isinstance(value, dict) or as_flag(value, "normalize", builder)):
        return
    low = as_number(options.get("lower", 1), "normalize.lower", 0, 99, builder)
    high = as_number(options.get("upper", 99), "normalize.upper", 1, 100, builder)
    if low is not None and high is not None:
        add_step(builder, Step("norm", (low, high)))


def _linear(value: Any, builder: RequestBuilder) -> None:
    """The handler passes one argument to sharp: the factor, or one for each channel."""
    items = value if isinstance(value, list) else [value]
    factors = [as_number(item, "linear", -1000, 1000, builder) for item in items[:3]]
    if None in factors or len(items) not in {1, 3}:
        builder.add_error("linear", "a number, or three of them", value)
        return
    add_step(builder, Step("linear", (*factors, *[0] * len(factors))))


def _threshold(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    level = 128 if value is True else as_number(value, "threshold", 0, 255, builder)
    if level is not None:
        add_step(builder, Step("threshold", round(level)))


def _recomb(value: Any, builder: RequestBuilder) -> None:
    rows = value if isinstance(value, list) else []
    if len(rows) != 3 or not all(isinstance(row, list) and len(row) == 3 for row in rows):
        builder.add_error("recomb", "three rows of three numbers", value)
        return
    numbers = [as_number(number, "recomb", -1000, 1000, builder) for row in rows for number in row]
    if None not in numbers:
        add_step(builder, Step("matrix", tuple(numbers)))


def add_step(builder: RequestBuilder, step: Step) -> None:
    """Add a step after the others."""
    builder.values["steps"] = (*builder.values.get("steps", ()), step)


def _convolve(value: Any, builder: RequestBuilder) -> None:
    options = as_object(value, "convolve", builder)
    kernel = options.get("kernel")
    if not isinstance(kernel, list):
        builder.add_error("convolve", "a kernel, which is a list of numbers", value)
        return
    numbers = [as_number(number, "convolve", -1000, 1000, builder) for number in kernel[:26]]
    sides = [
        as_number(options.get(side), f"convolve.{side}", 1, 1001, builder) for side in ("width", "height")
    ]
    if None in numbers or None in sides:
        return
    if sides not in ([3, 3], [5, 5]) or len(numbers) != (sides[0] or 0) ** 2:
        builder.unsupported("convolve", "3 or 5 columns and as many rows", kernel)
    elif not _is_normalised(options, numbers) or options.get("offset", 0) != 0:
        builder.unsupported("convolve", "no scale and no offset, as the kernel is divided by its sum", value)
    else:
        builder.set_field("convolve", tuple(numbers), "convolve")


def _is_normalised(options: Mapping[str, Any], numbers: list[float | None]) -> bool:
    """Whether sharp, too, would divide by the sum: ``scale`` defaults to it, or to 1 if it is 0."""
    scale = options.get("scale")
    return scale is None or scale == (normalise(sum(number or 0 for number in numbers)) or 1)


EDITS: Mapping[str, Callable[[Any, RequestBuilder], None]] = MappingProxyType(
    {
        "blur": _blur,
        "convolve": _convolve,
        "flatten": _flatten,
        "gamma": _gamma,
        "grayscale": _switch("grayscale", "grey"),
        "greyscale": _switch("greyscale", "grey"),
        "linear": _linear,
        "median": _median,
        "modulate": _modulate,
        "negate": _switch("negate", "negate"),
        "normalise": _normalise,
        "normalize": _normalise,
        "recomb": _recomb,
        "sharpen": _sharpen,
        "threshold": _threshold,
        "tint": _tint,
    }
)
