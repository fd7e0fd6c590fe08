"""Dialects: those of DIT's edits that change each pixel, with sharp's names and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, clamped, plain
from image_processor.domain.transformation import BLACK

from .values import amount, colour, flag, inner

_MILD_BLUR = 0.5
_MILD_SHARPEN = (0.5, 1)


def _switch(name: str, field: str) -> Callable[[Any, RequestBuilder], None]:
    def read(value: Any, builder: RequestBuilder) -> None:
        if flag(value, name, builder):
            builder.values[field] = True

    return read


def _blur(value: Any, builder: RequestBuilder) -> None:
    if value is True:
        builder.values["blur"] = _MILD_BLUR
        return
    given = value.get("sigma") if isinstance(value, dict) else value
    if given is False:
        return
    sigma = amount(given, "blur", 0, 1000, builder)
    if sigma is not None and sigma >= 0.3:
        builder.put("blur", sigma, "blur")


def _sharpen(value: Any, builder: RequestBuilder) -> None:
    if value is True:
        builder.values["sharpen"] = _MILD_SHARPEN
        return
    given = value.get("sigma") if isinstance(value, dict) else value
    if given is False:
        return
    sigma = amount(given, "sharpen", 0, 10, builder)
    if sigma:
        builder.values["sharpen"] = (clamped(sigma, 0.1, 10), 1)


def _median(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    size = 3 if value is True else amount(value, "median", 1, 1000, builder)
    if size is not None and size != 1:
        builder.put("median", size, "median")


def _gamma(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    exponent = 2.2 if value is True else amount(value, "gamma", 1, 3, builder)
    builder.values.update({} if exponent is None else {"gamma": exponent})


def _flatten(value: Any, builder: RequestBuilder) -> None:
    if value is False:
        return
    given = inner(value, "flatten", builder)
    if given.get("background") is None:
        builder.values["background"] = BLACK
        return
    found = colour(given["background"], "flatten.background", builder)
    builder.values.update({} if found is None else {"background": found})


def _tint(value: Any, builder: RequestBuilder) -> None:
    found = colour(value, "tint", builder)
    builder.values.update({} if found is None else {"tint": found})


def _modulate(value: Any, builder: RequestBuilder) -> None:
    given = inner(value, "modulate", builder)
    for name in ("brightness", "saturation"):
        if name in given:
            factor = amount(given[name], f"modulate.{name}", 0, 2, builder)
            builder.values.update({} if factor is None else {name: plain(100 * factor - 100)})
    if "hue" in given:
        degrees = amount(given["hue"], "modulate.hue", -100_000, 100_000, builder)
        builder.values.update({} if degrees is None else {"hue": plain(degrees % 360)})
    for name in given.keys() - {"brightness", "saturation", "hue"}:
        builder.lacks(f"modulate.{name}")


def _convolve(value: Any, builder: RequestBuilder) -> None:
    given = inner(value, "convolve", builder)
    kernel = given.get("kernel")
    if not isinstance(kernel, list):
        builder.wrong("convolve", "a kernel, which is a list of numbers", value)
        return
    numbers = [amount(number, "convolve", -1000, 1000, builder) for number in kernel[:26]]
    sides = [amount(given.get(side), f"convolve.{side}", 1, 1001, builder) for side in ("width", "height")]
    if None in numbers or None in sides:
        return
    if sides not in ([3, 3], [5, 5]) or len(numbers) != (sides[0] or 0) ** 2:
        builder.lacks("convolve", "3 or 5 columns and as many rows", kernel)
    elif not _is_divided(given, numbers) or given.get("offset", 0) != 0:
        builder.lacks("convolve", "no scale and no offset, as it is divided by its sum here", value)
    else:
        builder.put("convolve", tuple(numbers), "convolve")


def _is_divided(given: Mapping[str, Any], numbers: list[float | None]) -> bool:
    """sharp divides by ``scale``, which is the sum where it is left out, and 1 where that is 0."""
    scale = given.get("scale")
    return scale is None or scale == (plain(sum(number or 0 for number in numbers)) or 1)


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
