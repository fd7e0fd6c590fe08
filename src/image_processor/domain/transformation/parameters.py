"""Ground floor: what a parameter of a transformation is, and how a list of them is read and shown.

A `ValueType` is a type of value with its text form; a `Parameter` is a named row of a vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from image_processor.domain.errors import InvalidTransformation, Problem

from .values import PLACES, Colour, Length, RelativeLength, quote, show_number, unquote


class ValueType(Struct, frozen=True):
    """A type of value: ``expected`` says it to people, ``read`` makes it from text and raises
    ValueError, or InvalidTransformation where it has several mistakes to tell; ``is_valid`` judges a value
    of any type, ``show`` is the inverse of ``read``. Without ``textual`` a file that has numbers and
    truths of its own must give them as such."""

    expected: str
    read: Callable[[str], Any]
    is_valid: Callable[[Any], bool]
    show: Callable[[Any], str] = str
    textual: bool = True


class Parameter(Struct, frozen=True):
    """One row of a vocabulary: its short name in texts, the field it sets, and its kind.

    ``default`` is the value that is not shown; None means that the field may be None. ``many``
    means that the name may be given several times and the field is a tuple of them, in order.
    """

    name: str
    field: str
    type: ValueType
    default: Any = None
    many: bool = False

    @property
    def expected(self) -> str:
        return self.type.expected

    def check(self, value: Any) -> Problem | None:
        """What is wrong with ``value`` for this field, if anything."""
        if value is None and self.default is None and not self.many:
            return None
        if self.many:
            wrong = (
                [one for one in value if not self.type.is_valid(one)] if isinstance(value, tuple) else [value]
            )
            return Problem(self.field, self.expected, repr(wrong[0])) if wrong else None
        return None if self.type.is_valid(value) else Problem(self.field, self.expected, repr(value))


def read_pairs(
    text: str, rows: Sequence[Parameter], *, between: str, equals: str
) -> tuple[dict[str, Any], list[Problem]]:
    """The values by field that a text of pairs such as `w=640,fm=webp` gives, and every mistake.

    Any order is read. A name that is not ``many`` may be given once.
    """
    by_name = {row.name: row for row in rows}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for pair in text.split(between):
        name, sign, given = pair.partition(equals)
        row = by_name.get(name)
        if row is None or not sign:
            problems.append(Problem("parameter", suggest(by_name, name), repr(pair)))
            continue
        if name in seen and not row.many:
            problems.append(Problem(name, "one value", "two"))
        seen.add(name)
        try:
            value = row.type.read(given)
        except InvalidTransformation as error:
            problems += error.problems
            continue
        except (ValueError, KeyError):
            problems.append(Problem(name, row.expected, repr(given)))
            continue
        if not row.type.is_valid(value):
            problems.append(Problem(name, row.expected, given))
        values[row.field] = (*values.get(row.field, ()), value) if row.many else value
    return values, problems


def suggest(names: Iterable[str], given: str) -> str:
    """What to expect instead of the unknown name ``given``: those like it, or all where they are few."""
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes need it

    known = list(names)
    near = get_close_matches(given.lower(), known, n=3, cutoff=0.6)
    if len(known) <= _FEW:
        return "one of " + ", ".join(known)
    return "a name of docs/transformations.md" + (f" such as {' or '.join(near)}" if near else "")


_FEW = 10


def show_pairs(value: object, rows: Iterable[Parameter], *, between: str, equals: str) -> str:
    """The canonical text: what differs from its default, in the order of ``rows``."""
    shown: list[str] = []
    for row in rows:
        field = getattr(value, row.field)
        if field == row.default:
            continue
        shown += [f"{row.name}{equals}{row.type.show(one)}" for one in (field if row.many else (field,))]
    return between.join(shown)


# Kinds -------------------------------------------------------------------------------------------


def integer(low: int, high: int, unit: str = "") -> ValueType:
    """Whole numbers from ``low`` to ``high``."""
    expected = f"a whole number of {unit} from {low} to {high}" if unit else _range(low, high)
    return ValueType(
        expected, read_integer, lambda value: type(value) is int and low <= value <= high, textual=False
    )


def number(low: float, high: float, unit: str = "") -> ValueType:
    """Numbers with at most PLACES decimals."""

    def is_valid(value: Any) -> bool:
        return (
            type(value) in {int, float}
            and math.isfinite(value)
            and low <= value <= high
            and value == round(value, PLACES)
        )

    expected = _range(low, high) + (f" {unit}" if unit else "")
    return ValueType(expected, read_number, is_valid, show_number, textual=False)


def choice(names: type[StrEnum]) -> ValueType:
    return ValueType(" | ".join(names), names, lambda value: isinstance(value, names))


def length(low: int, high: int, most: float = 1.0) -> ValueType:
    """Pixels from ``low`` to ``high``, or a share of a side up to ``most``; negative where ``low`` is."""
    least = -most if low < 0 else 0.0
    expected = (
        f"pixels from {low} to {high}, or a share of the side from {show_share(least)} to {show_share(most)}"
    )

    def is_valid(value: Any) -> bool:
        if isinstance(value, RelativeLength):
            part = value.of_side
            return type(part) is float and least <= part <= most and part == round(part, PLACES)
        return type(value) is int and low <= value <= high

    return ValueType(expected, read_length, is_valid)


def tuple_of(item: ValueType, counts: Sequence[int], expected: str) -> ValueType:
    """A tuple of ``item`` joined by colons; ``counts`` says how many there may be."""

    def read(text: str) -> tuple[Any, ...]:
        return tuple(item.read(part) for part in text.split(":"))

    def is_valid(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) in counts and all(map(item.is_valid, value))

    return ValueType(expected, read, is_valid, lambda value: ":".join(map(item.show, value)))


def words(longest: int, expected: str) -> ValueType:
    """Free text of 1 to ``longest`` characters, escaped as `quote` does."""
    return ValueType(
        expected, unquote, lambda value: isinstance(value, str) and _is_text(value, longest), quote
    )


def read_integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def read_number(text: str) -> float:
    """A number of at most PLACES decimals; whole ones are int, so that a text has one value."""
    if not re.fullmatch(rf"-?[0-9]{{1,9}}(\.[0-9]{{1,{PLACES}}})?", text):
        raise ValueError(text)
    value = float(text)
    return int(value) if value.is_integer() else value


def read_length(text: str) -> Length:
    return RelativeLength(float(read_number(text))) if "." in text else read_integer(text)


_COLOUR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def read_colour(text: str) -> Colour:
    """A colour from `ff8800`, `#ff8800` or `f80`; ValueError otherwise."""
    match = _COLOUR.fullmatch(text)
    if match is None:
        raise ValueError(text)
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    return Colour(*bytes.fromhex(digits))


def show_share(part: float) -> str:
    return str(RelativeLength(part))


def _read_flag(text: str) -> bool:
    return {"1": True, "0": False, "true": True, "false": False}[text]


def _is_byte(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


def _is_colour(value: Any) -> bool:
    return isinstance(value, Colour) and all(map(_is_byte, (value.red, value.green, value.blue)))


def _is_text(value: str, longest: int) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return 1 <= len(value) <= longest and "\0" not in value


def _range(low: float, high: float) -> str:
    # A hyphen between two negative numbers would be hard to read.
    return (
        f"{show_number(low)}-{show_number(high)}"
        if low >= 0
        else f"{show_number(low)} to {show_number(high)}"
    )


FLAG = ValueType("0 or 1", _read_flag, lambda value: isinstance(value, bool), "{:d}".format, textual=False)
COLOUR = ValueType("a colour as RRGGBB", read_colour, _is_colour)
