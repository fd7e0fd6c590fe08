"""Delivery, step 1: parses the values of DIT's edits: JSON values, or texts from a path or a query."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
from image_processor.domain.rounding import round_half_up
from image_processor.domain.transformation import Colour

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
    """A number, or a text that is one, from ``low`` to ``high``. None, and a problem, otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        builder.add_error(name, f"a number from {low} to {high}", value)
        return None
    text = f"{value:.9f}" if isinstance(value, float) else str(value)
    return builder.number(text, name, low, high)


def set_side(value: Any, field: str, name: str, builder: RequestBuilder) -> None:
    """Set ``field`` to a side of the output in pixels, rounded half up as in DIT."""
    side = as_number(value, name, 1, 16_383, builder)
    if side is not None:
        builder.set_field(field, round_half_up(side), name)


def as_flag(value: Any, name: str, builder: RequestBuilder) -> bool:
    """A JSON boolean, or a text that is one. Null is false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        return bool(builder.flag(value, name))
    builder.add_error(name, "true or false", value)
    return False


def as_colour(value: Any, name: str, builder: RequestBuilder) -> Colour | None:
    """A colour in CSS or as `{r, g, b, alpha}`. None if it is transparent; None, and a problem, if it is not
    a colour."""
    if isinstance(value, str):
        if value == "transparent":
            return None
        return builder.colour(value, name)
    if not isinstance(value, dict):
        builder.add_error(name, "a colour such as #ff8800 or an object of r, g and b", value)
        return None
    channels = [as_number(value.get(channel, 0), name, 0, 255, builder) for channel in "rgb"]
    if value.get("alpha", 1) == 0:
        return None
    if value.get("alpha", 1) != 1:
        builder.unsupported(name, "an alpha of 0 or 1", value)
    if None in channels:
        return None
    return Colour(*(round(channel or 0) for channel in channels))
