"""Delivery, step 1: Cloudinary's effects (`e_`), each a reader that makes an `Effect`.

Cloudinary does not publish formulas, so strengths are converted to the nearest scale of ours;
docs/dialects.md lists them. Source: Cloudinary's documentation, "Transformation URL API reference".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder, clamp, normalise
from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import BLACK, Blend, Colour, Step

from .operations import Effect

Reader = Callable[[str, Colour | None, RequestBuilder], Effect | None]
"""Makes the effect of an argument, empty if there is none, and the colour `co_` of its component. None if it
changes nothing, or if it is invalid, which adds a problem."""

_BLUR_SCALE = 50
"""Cloudinary's strength of 1-2000 for one pixel of sigma."""


def parse_effect(text: str, colour: Colour | None, builder: RequestBuilder) -> Effect | None:
    """The effect in the value of `e_`, such as `sepia:50`. None if it changes nothing, or if it is invalid,
    which adds a problem."""
    name, _, argument = text.partition(":")
    read = EFFECTS.get(name)
    if read is None:
        builder.unsupported(f"e_{name}", "one of " + ", ".join(EFFECTS), f"e_{text}")
        return None
    return read(argument, colour, builder)


def _number(
    argument: str, name: str, low: float, high: float, default: float, builder: RequestBuilder
) -> float:
    """The number in ``argument``, ``default`` without one or with a problem."""
    if not argument:
        return default
    value = builder.number(argument, f"e_{name}", low, high)
    return default if value is None else value


def _flag(name: str, field: str, step: Step) -> Reader:
    def read(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect:
        del argument, colour, builder
        return Effect(name, field, True, (step,))

    return read


def _level(
    name: str,
    field: str,
    low: float,
    high: float,
    default: float,
    convert: Callable[[float], Any] = normalise,
    steps: Callable[[float], tuple[Step, ...]] | None = None,
) -> Reader:
    """An effect whose strength is a number; 0 changes nothing. ``convert`` makes the field's value, ``steps``
    the steps that do nearly the same."""

    def read(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect | None:
        del colour
        level = _number(argument, name, low, high, default, builder)
        later = steps(level) if steps is not None and level else ()
        return Effect(f"e_{name}", field, convert(level), later) if level else None

    return read


def _mixed(level: float) -> tuple[Step, ...]:
    """Mix with black or white, as the field `brightness` does."""
    keep = 1 - abs(level) / 100
    return (Step("linear", (normalise(keep), normalise(255 * max(level, 0) / 100))),)


def _stretched(level: float) -> tuple[Step, ...]:
    """Stretch around mid grey, as the field `contrast` does."""
    slope = 1 + level / 100
    return (Step("linear", (normalise(slope), normalise(127.5 * (1 - slope)))),)


def _chroma(level: float) -> tuple[Step, ...]:
    return (Step("lch", (1, normalise(1 + level / 100), 0, 0)),)


def _hue(level: float) -> tuple[Step, ...]:
    return (Step("lch", (1, 1, normalise(level * 1.8), 0)),)


def _sepia(level: float) -> tuple[Step, ...]:
    """W3C Filter Effects Module Level 1, `sepia`, as the field does."""
    rows = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
    share = level / 100
    numbers = [
        share * value + (1 - share) * (row == column)
        for row, values in enumerate(rows)
        for column, value in enumerate(values)
    ]
    return (Step("matrix", tuple(map(normalise, numbers))),)


def _sigma(level: float) -> float:
    return clamp(level / _BLUR_SCALE, 0.3, 250)


def _amount(level: float) -> tuple[float, float]:
    return 1, clamp(level / 100, 0.1, 10)


def _block(level: float) -> int:
    return max(2, round_half_up(level))


def _channel(name: str, index: int) -> Reader:
    """Add to one channel, -100 to 100 percent."""

    def read(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect | None:
        del colour
        level = _number(argument, name, -100, 100, 0, builder)
        added = tuple(normalise(level * 2.55) if channel == index else 0 for channel in range(3))
        return Effect(f"e_{name}", steps=(Step("linear", (1, 1, 1, *added)),)) if level else None

    return read


def _threshold(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect:
    del colour
    level = _number(argument, "blackwhite", 0, 100, 50, builder)
    return Effect("e_blackwhite", steps=(Step("threshold", round_half_up(level * 255 / 100)),))


def _colorize(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect | None:
    level = _number(argument, "colorize", 0, 100, 100, builder)
    step = Step("colour", (colour or BLACK, normalise(level), Blend.OVER))
    return Effect("e_colorize", steps=(step,)) if level else None


def _trim(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect:
    """Remove a border; the tolerance is of 0-100."""
    del colour
    tolerance, _, border = argument.partition(":")
    if border:
        builder.unsupported("e_trim", "a tolerance alone", argument)
    return Effect(
        "e_trim", "trim", round_half_up(_number(tolerance, "trim", 0, 100, 10, builder) * 255 / 100)
    )


def _contrast(argument: str, colour: Colour | None, builder: RequestBuilder) -> Effect | None:
    """`contrast:20`; `contrast:20:function_sigmoidal` chooses the curve."""
    return _linear_contrast(argument.partition(":function_")[0], colour, builder)


_linear_contrast = _level("contrast", "contrast", -100, 100, 0, steps=_stretched)
_unsharp = _level("sharpen", "sharpen", 1, 2000, 100, _amount, lambda level: (Step("sharp", _amount(level)),))

EFFECTS: Mapping[str, Reader] = {
    "auto_contrast": _flag("e_auto_contrast", "normalise", Step("norm", (1, 99))),
    "blackwhite": _threshold,
    "blue": _channel("blue", 2),
    "blur": _level("blur", "blur", 1, 2000, 100, _sigma, lambda level: (Step("blur", _sigma(level)),)),
    "brightness": _level("brightness", "brightness", -99, 100, 80, steps=_mixed),
    "colorize": _colorize,
    "contrast": _contrast,
    "fill_light": _level(
        "fill_light", "", 0, 100, 100, steps=lambda level: (Step("tones", (normalise(level), 0)),)
    ),
    "gamma": _level("gamma", "gamma", -50, 150, 0, lambda level: clamp(1 + level / 100, 0.1, 10)),
    "grayscale": _flag("e_grayscale", "grey", Step("grey", True)),
    "green": _channel("green", 1),
    "hue": _level("hue", "hue", -100, 100, 80, lambda level: normalise(level * 1.8 % 360), _hue),
    "negate": _flag("e_negate", "negate", Step("neg", True)),
    "pixelate": _level("pixelate", "pixelate", 1, 200, 5, _block, lambda level: (Step("px", _block(level)),)),
    "red": _channel("red", 0),
    "saturation": _level("saturation", "saturation", -100, 100, 80, steps=_chroma),
    "sepia": _level("sepia", "sepia", 1, 100, 80, steps=_sepia),
    "sharpen": _unsharp,
    "trim": _trim,
    "unsharp_mask": _unsharp,
    "vibrance": _level(
        "vibrance", "", -100, 100, 20, steps=lambda level: (Step("vibrance", normalise(level)),)
    ),
}
"""The effects that are supported. Those of layers (`e_multiply`, ...) are in layers.py."""
