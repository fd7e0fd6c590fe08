"""Dialects: the values of DIT's edits: JSON's, and texts where a path or a query says them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from image_processor.delivery.dialects.request_builder import RequestBuilder
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


def inner(value: Any, name: str, builder: RequestBuilder) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    if value is not True:
        builder.wrong(name, "an object", value)
    return {}


def absent(value: Any) -> bool:
    """Whether it is said to be nothing: null, or an empty text."""
    return value is None or value == ""


def word(value: Any, otherwise: str = "") -> str:
    """A text that is one of a list, if it is any."""
    return otherwise if absent(value) else value if isinstance(value, str) else repr(value)


def position(value: Any) -> str | None:
    """The gravity that a position of sharp's is."""
    number = isinstance(value, int) and not isinstance(value, bool)
    return POSITIONS.get(value) if number or isinstance(value, str) else None


def amount(value: Any, name: str, low: float, high: float, builder: RequestBuilder) -> float | None:
    """A number, or a text that is one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        builder.wrong(name, f"a number from {low} to {high}", value)
        return None
    text = f"{value:.9f}" if isinstance(value, float) else str(value)
    return builder.number(text, name, low, high)


def pixels(value: Any, field: str, name: str, builder: RequestBuilder) -> None:
    """A side of the result, rounded as DIT rounds it."""
    side = amount(value, name, 1, 16_383, builder)
    if side is not None:
        builder.put(field, int(side + 0.5), name)


def flag(value: Any, name: str, builder: RequestBuilder) -> bool:
    """What is true: JSON's own, or a text. Nothing is false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        return bool(builder.flag(value, name))
    builder.wrong(name, "true or false", value)
    return False


def colour(value: Any, name: str, builder: RequestBuilder) -> Colour | None:
    """A colour as CSS or `{r, g, b, alpha}` says it; None where it is transparent, and where it is a
    mistake."""
    if isinstance(value, str):
        if value == "transparent":
            return None
        return builder.colour(value, name)
    if not isinstance(value, dict):
        builder.wrong(name, "a colour such as #ff8800 or an object of r, g and b", value)
        return None
    channels = [amount(value.get(one, 0), name, 0, 255, builder) for one in "rgb"]
    if value.get("alpha", 1) == 0:
        return None
    if value.get("alpha", 1) != 1:
        builder.lacks(name, "an alpha of 0 or 1", value)
    if None in channels:
        return None
    return Colour(*(round(channel or 0) for channel in channels))
