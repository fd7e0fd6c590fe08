"""Delivery, step 1: converts DIT's edits of colour and sharpness, which have sharp's names and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.domain.transformation import BLACK

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
    if value is False:
        return
    exponent = 2.2 if value is True else as_number(value, "gamma", 1, 3, builder)
    builder.values.update({} if exponent is None else {"gamma": exponent})


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
    for name in ("brightness", "saturation"):
        if name in options:
            factor = as_number(options[name], f"modulate.{name}", 0, 2, builder)
            builder.values.update({} if factor is None else {name: normalise(100 * factor - 100)})
    if "hue" in options:
        degrees = as_number(options["hue"], "modulate.hue", -100_000, 100_000, builder)
        builder.values.update({} if degrees is None else {"hue": normalise(degrees % 360)})
    for name in options.keys() - {"brightness", "saturation", "hue"}:
        builder.unsupported(f"modulate.{name}")


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
        "median": _median,
        "modulate": _modulate,
        "negate": _switch("negate", "negate"),
        "normalise": _switch("normalise", "normalise"),
        "normalize": _switch("normalize", "normalise"),
        "sharpen": _sharpen,
        "tint": _tint,
    }
)
