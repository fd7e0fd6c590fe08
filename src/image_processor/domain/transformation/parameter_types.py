"""The types of parameters: how each is read from text, checked, and written as text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from image_processor.domain.rounding import DECIMALS

from .values import Colour, Length, RelativeLength, format_number


class Control(StrEnum):
    """What a program can offer to choose a value with."""

    INTEGER = "integer"
    NUMBER = "number"
    LENGTH = "length"
    CHOICE = "choice"
    FLAG = "flag"
    COLOUR = "colour"
    TEXT = "text"


class ValueType(Struct, frozen=True):
    """A type of value with its text form."""

    expected: str
    """Describes it in error messages and documents."""
    read: Callable[[str], Any]
    """Makes a value from text. Raises ValueError, or InvalidTransformation to report several problems."""
    is_valid: Callable[[Any], bool]
    """Checks a value of any Python type."""
    show: Callable[[Any], str] = str
    """The inverse of ``read``."""
    textual: bool = True
    """False if files with typed values (TOML) write it as a number or boolean."""
    control: Control = Control.TEXT
    """What a program can offer to choose a value with, as ``low``, ``high`` and ``choices``."""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def integer(low: int, high: int, unit: str = "") -> ValueType:
    """Whole numbers from ``low`` to ``high``."""
    expected = f"a whole number of {unit} from {low} to {high}" if unit else _range(low, high)
    return ValueType(
        expected,
        read_integer,
        lambda value: type(value) is int and low <= value <= high,
        textual=False,
        control=Control.INTEGER,
        low=low,
        high=high,
    )


def number(low: float, high: float, unit: str = "") -> ValueType:
    """Numbers from ``low`` to ``high`` with at most DECIMALS decimals."""

    def is_valid(value: Any) -> bool:
        return (
            type(value) in {int, float}
            and math.isfinite(value)
            and low <= value <= high
            and value == round(value, DECIMALS)
        )

    expected = _range(low, high) + (f" {unit}" if unit else "")
    return ValueType(
        expected,
        read_number,
        is_valid,
        format_number,
        textual=False,
        control=Control.NUMBER,
        low=low,
        high=high,
    )


def choice(names: type[StrEnum]) -> ValueType:
    """The members of an enum, by their values."""
    return ValueType(
        " | ".join(names),
        names,
        lambda value: isinstance(value, names),
        control=Control.CHOICE,
        choices=tuple(names),
    )


def length(low: int, high: int) -> ValueType:
    """Pixels from ``low`` to ``high``, or a fraction of a side up to 1.0; negative if ``low`` is."""
    lowest = -1.0 if low < 0 else 0.0
    expected = f"pixels from {low} to {high}, or a share of the side from {RelativeLength(lowest)} to 1.0"

    def is_valid(value: Any) -> bool:
        if isinstance(value, RelativeLength):
            part = value.of_side
            return type(part) is float and lowest <= part <= 1 and part == round(part, DECIMALS)
        return type(value) is int and low <= value <= high

    return ValueType(expected, read_length, is_valid, control=Control.LENGTH, low=low, high=high)


def tuple_of(item: ValueType, counts: Sequence[int], expected: str) -> ValueType:
    """Tuples of ``item`` joined by colons; ``counts`` holds the lengths that are allowed."""

    def read(text: str) -> tuple[Any, ...]:
        return tuple(item.read(part) for part in text.split(":"))

    def is_valid(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) in counts and all(map(item.is_valid, value))

    return ValueType(expected, read, is_valid, lambda value: ":".join(map(item.show, value)))


def four_sides(item: ValueType, expected: str) -> ValueType:
    """Top, right, bottom and left as in CSS: 1 value for all, 2 for vertical and horizontal, or 4."""

    def read(text: str) -> tuple[Any, ...]:
        parts = tuple(item.read(part) for part in text.split(":"))
        return {1: parts * 4, 2: parts * 2, 4: parts}[len(parts)]

    def show(value: tuple[Any, ...]) -> str:
        shortest = value[:1] if len(set(value)) == 1 else value[:2] if value[:2] == value[2:] else value
        return ":".join(map(item.show, shortest))

    def is_valid(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == 4 and all(map(item.is_valid, value))

    return ValueType(expected, read, is_valid, show)


def read_integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def read_number(text: str) -> float:
    """A number of at most DECIMALS decimals; whole ones are int, so that a text has one value."""
    if not re.fullmatch(rf"-?[0-9]{{1,9}}(\.[0-9]{{1,{DECIMALS}}})?", text):
        raise ValueError(text)
    value = float(text)
    return int(value) if value.is_integer() else value


def read_length(text: str) -> Length:
    return RelativeLength(float(read_number(text))) if "." in text else read_integer(text)


def read_colour(text: str) -> Colour:
    """A colour from `ff8800`, `#ff8800` or `f80`. Raises ValueError."""
    match = re.fullmatch(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})", text)
    if match is None:
        raise ValueError(text)
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    return Colour(*bytes.fromhex(digits))


def _read_flag(text: str) -> bool:
    return {"1": True, "0": False, "true": True, "false": False}[text]


def _is_byte(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


def _is_colour(value: Any) -> bool:
    return isinstance(value, Colour) and all(map(_is_byte, (value.red, value.green, value.blue)))


def _range(low: float, high: float) -> str:
    # A hyphen between two negative numbers would be hard to read.
    return (
        f"{format_number(low)}-{format_number(high)}"
        if low >= 0
        else f"{format_number(low)} to {format_number(high)}"
    )


FLAG = ValueType(
    "0 or 1",
    _read_flag,
    lambda value: isinstance(value, bool),
    "{:d}".format,
    textual=False,
    control=Control.FLAG,
)
COLOUR = ValueType("a colour as RRGGBB", read_colour, _is_colour, control=Control.COLOUR)
