"""Ground floor: how one rendition is made, as a frozen value with one canonical text form.

`parse` and `str()` are inverse. Two values that mean the same picture are equal: what cannot
change the result (a default, a gravity where nothing is cropped) is dropped on construction.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from image_processor.errors import InvalidTransformation, Problem
from image_processor.formats import FORMATS, WRITABLE

from .values import MAX_SIDE, WHITE, Colour, Fit, Gravity


@dataclass(frozen=True, slots=True)
class Transformation:
    """How one rendition is made.

    ``width`` and ``height`` are pixels of the upright picture (1-16383); None means free.
    ``quality`` is 1-100, None for the format's default. ``background`` fills transparency and
    the bars of `contain`; None keeps transparency where the format has it, else white.
    Without ``enlarge`` no rendition is larger than its original.
    """

    width: int | None = None
    height: int | None = None
    fit: Fit = Fit.COVER
    gravity: Gravity = Gravity.CENTRE
    background: Colour | None = None
    enlarge: bool = False
    quality: int | None = None
    format: str = "jpeg"

    def __post_init__(self) -> None:
        problems = [problem for row in PARAMETERS if (problem := row.check(self))]
        if problems:
            raise InvalidTransformation(problems)
        format_ = FORMATS[self.format]
        boxed = self.width is not None and self.height is not None
        if not boxed:
            object.__setattr__(self, "fit", Fit.COVER)
        if not boxed or self.fit not in {Fit.COVER, Fit.CONTAIN}:
            object.__setattr__(self, "gravity", Gravity.CENTRE)
        if self.fit is Fit.CONTAIN and self.gravity is Gravity.ATTENTION:
            object.__setattr__(self, "gravity", Gravity.CENTRE)
        if self.width is None and self.height is None:
            object.__setattr__(self, "enlarge", False)
        if self.quality == format_.quality or format_.quality is None:
            object.__setattr__(self, "quality", None)
        if self.background == WHITE and not format_.alpha:
            object.__setattr__(self, "background", None)

    def __str__(self) -> str:
        shown = ((row, getattr(self, row.field)) for row in PARAMETERS)
        return ",".join(f"{row.name}={row.show(value)}" for row, value in shown if value != row.default)

    @property
    def name(self) -> str:
        """The last segment of a rendition's key: the canonical text and the format's extension."""
        return f"{self}.{FORMATS[self.format].extension}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the vocabulary: its short name in the text form, and how to read and show it.

    ``read`` raises ValueError on a bad text; ``valid`` judges a value; ``expected`` says both.
    A default of None means that the value may be None. The one parameter that is always shown
    (fm) has a default that no value equals.
    """

    name: str
    field: str
    expected: str
    read: Callable[[str], Any]
    valid: Callable[[Any], bool]
    default: Any = None
    show: Callable[[Any], str] = str

    def check(self, transformation: Transformation) -> Problem | None:
        value = getattr(transformation, self.field)
        if value is None and self.default is None:
            return None
        return None if self.valid(value) else Problem(self.field, self.expected, repr(value))


_COLOUR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def read_colour(text: str) -> Colour:
    """A colour from `ff8800`, `#ff8800` or `f80`; ValueError otherwise."""
    match = _COLOUR.fullmatch(text)
    if match is None:
        raise ValueError(text)
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    return Colour(*bytes.fromhex(digits))


def _read_int(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _read_flag(text: str) -> bool:
    return {"1": True, "0": False, "true": True, "false": False}[text]


def _is_int(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_colour(value: Any) -> bool:
    return isinstance(value, Colour) and all(map(_is_int(0, 255), (value.red, value.green, value.blue)))


_SIDE = f"a whole number of pixels from 1 to {MAX_SIDE}"

# The order of the rows is the canonical order of the text form.
PARAMETERS = (
    Parameter("w", "width", _SIDE, _read_int, _is_int(1, MAX_SIDE)),
    Parameter("h", "height", _SIDE, _read_int, _is_int(1, MAX_SIDE)),
    Parameter("fit", "fit", " | ".join(Fit), Fit, lambda value: isinstance(value, Fit), Fit.COVER),
    Parameter(
        "g", "gravity", " | ".join(Gravity), Gravity, lambda value: isinstance(value, Gravity), Gravity.CENTRE
    ),
    Parameter("bg", "background", "a colour as RRGGBB", read_colour, _is_colour),
    Parameter(
        "enlarge",
        "enlarge",
        "0 or 1",
        _read_flag,
        lambda value: isinstance(value, bool),
        False,
        "{:d}".format,
    ),
    Parameter("q", "quality", "1-100", _read_int, _is_int(1, 100)),
    Parameter("fm", "format", " | ".join(WRITABLE), str, lambda value: value in WRITABLE, ""),
)
_BY_NAME = {row.name: row for row in PARAMETERS}


def parse(text: str) -> Transformation:
    """The transformation that a canonical text such as `w=640,fm=webp` stands for.

    Any order is read; raises InvalidTransformation with every mistake at once.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    seen: set[str] = set()
    for pair in text.split(","):
        name, equals, given = pair.partition("=")
        row = _BY_NAME.get(name)
        if row is None or not equals:
            problems.append(Problem("parameter", "one of " + ", ".join(_BY_NAME), repr(pair)))
            continue
        if name in seen:
            problems.append(Problem(name, "one value", "two"))
        seen.add(name)
        try:
            value = row.read(given)
        except (ValueError, KeyError):
            problems.append(Problem(name, row.expected, repr(given)))
            continue
        if not row.valid(value):
            problems.append(Problem(name, row.expected, given))
        values[row.field] = value
    if problems:
        raise InvalidTransformation(problems)
    return Transformation(**values)


def parse_name(name: str) -> Transformation | None:
    """The transformation of a rendition's last key segment, None if it is not exactly such a name."""
    text, dot, _ = name.rpartition(".")
    if not dot:
        return None
    try:
        parsed = parse(text)
    except InvalidTransformation:
        return None
    return parsed if parsed.name == name else None


_RENDITION_NAME = re.compile(r"(?:[a-z-]+=[^,/]*,)*fm=[a-z]+\.[a-z0-9]+")


def is_rendition_name(name: str) -> bool:
    """Whether a key's last segment was made by this program, of whatever version.

    Looser than `parse_name`, so that renditions of an older vocabulary can still be swept; an
    object that somebody else put beside them does not fit.
    """
    return _RENDITION_NAME.fullmatch(name) is not None
