"""Delivery, step 1: parses the values of DIT's edits: JSON values, or texts from a path or a query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import MAX_SIDE, Colour

# sharp's positions, its gravities by name and by number, and its strategies.
POSITIONS: Mapping[str | int, str] = MappingProxyType(
    {
        "top": "north",
        "right": "east",
        "bottom": "south",
        "left": "west",
        "right top": "northeast",
        "right bottom": "southeast",
        "left bottom": "southwest",
        "left top": "northwest",
        **{name: name for name in ("north", "east", "south", "west", "centre", "entropy", "attention")},
        **{name: name for name in ("northeast", "southeast", "southwest", "northwest")},
        "center": "centre",
        16: "entropy",
        17: "attention",
        **dict(enumerate(("centre", "north", "east", "south", "west"))),
        **dict(enumerate(("northeast", "southeast", "southwest", "northwest"), 5)),
    }
)

_HEX_WITH_ALPHA = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})([0-9a-fA-F]{1,2})")


class Paint(Struct, frozen=True):
    """A colour and its opacity, 0 to 1."""

    colour: Colour
    alpha: float = 1


def as_object(value: Any, name: str, builder: RequestBuilder) -> Mapping[str, Any]:
    """The JSON object ``value``; empty for true, and with a problem for other values."""
    if isinstance(value, dict):
        return value
    if value is not True:
        builder.add_error(name, "an object", value)
    return {}


def is_absent(value: Any) -> bool:
    """Whether a value is null or an empty text."""
    return value is None or value == ""


def as_text(value: Any, default: str = "") -> str:
    """The value as a text, to be looked up in a list; ``default`` if it is absent."""
    return default if is_absent(value) else value if isinstance(value, str) else repr(value)


def as_gravity(value: Any) -> str | None:
    """The gravity of a position of sharp, None for another value."""
    number = isinstance(value, int) and not isinstance(value, bool)
    return POSITIONS.get(value) if number or isinstance(value, str) else None


def as_number(value: Any, name: str, low: float, high: float, builder: RequestBuilder) -> float | None:
    """A number, or a text that is one, from ``low`` to ``high``. Otherwise it adds a problem and returns
    None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        builder.add_error(name, f"a number from {low} to {high}", value)
        return None
    text = f"{value:.9f}" if isinstance(value, float) else str(value)
    return builder.number(text, name, low, high)


def as_side(value: Any, name: str, builder: RequestBuilder) -> int:
    """A side of the output in pixels, rounded half up as in DIT. 0 if it is absent, or with a problem."""
    if is_absent(value):
        return 0
    side = as_number(value, name, 0.5, MAX_SIDE, builder)
    return 0 if side is None else round_half_up(side)


def as_flag(value: Any, name: str, builder: RequestBuilder) -> bool:
    """A JSON boolean, or a text that is one. Null is false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        return bool(builder.flag(value, name))
    builder.add_error(name, "true or false", value)
    return False


def as_paint(value: Any, name: str, builder: RequestBuilder) -> Paint | None:
    """A colour in CSS, as `{r, g, b, alpha}` or as a list of these. Adds a problem and returns None if it is
    not one."""
    if isinstance(value, str):
        if value == "transparent":
            return Paint(Colour(0, 0, 0), 0)
        match = _HEX_WITH_ALPHA.fullmatch(value) if len(value.removeprefix("#")) in {4, 8} else None
        parsed = builder.colour(match[1] if match else value, name)
        alpha = int(match[2] * (2 if len(match[2]) == 1 else 1), 16) / 255 if match else 1
        return None if parsed is None else Paint(parsed, alpha)
    if isinstance(value, list) and len(value) in {3, 4}:
        value = dict(zip(("r", "g", "b", "alpha"), value, strict=False))
    if not isinstance(value, dict):
        builder.add_error(name, "a colour such as #ff8800, a list or an object of r, g and b", value)
        return None
    channels = [as_number(value.get(channel, 0), name, 0, 255, builder) for channel in "rgb"]
    alpha_ = as_number(value.get("alpha", 1), f"{name}.alpha", 0, 1, builder)
    if alpha_ is None or None in channels:
        return None
    return Paint(Colour(*(round_half_up(channel or 0) for channel in channels)), alpha_)


def as_colour(value: Any, name: str, builder: RequestBuilder) -> Colour | None:
    """A colour whatever its opacity. Adds a problem and returns None if it is not one."""
    paint = as_paint(value, name, builder)
    return None if paint is None else paint.colour


def as_background(value: Any, name: str, builder: RequestBuilder) -> Colour | None:
    """The colour of new pixels. None if they are transparent. Adds a problem and returns None if it is no
    colour or neither opaque nor transparent."""
    paint = as_paint(value, name, builder)
    if paint is None or paint.alpha == 0:
        return None
    if paint.alpha != 1:
        builder.unsupported(name, "an alpha of 0 or 1", value)
    return paint.colour
