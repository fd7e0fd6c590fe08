"""Delivery, step 1: the syntax of thumbor's filters, which DIT shares.

A chain of filters, `filters:blur(3):watermark(a(1).png,0,0,0)/REST`, and the arguments that say where a
watermark is and how large.
"""

from __future__ import annotations

import re

from msgspec import Struct

from image_processor.domain.errors import InvalidRequest
from image_processor.domain.keys import percent_decode
from image_processor.domain.transformation import Flip, Gravity, RelativeLength

from .request_builder import RequestBuilder

_START = "filters:"
_NAME = re.compile(r"([a-z][a-z0-9_]*)\(")
_POSITION = re.compile(r"(-?)([0-9]{1,5}(?:\.[0-9]{1,6})?)(p?)")
_MAX_OFFSET = 16_383


class FilterCall(Struct, frozen=True):
    """A filter's name and its arguments, percent-decoded."""

    name: str
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.name}({','.join(self.arguments)})"


def parse_filters(text: str) -> tuple[tuple[FilterCall, ...], str]:
    """The filters at the start of ``text``, and the text after them.

    Parentheses within arguments are balanced. If one is not closed, there are no filters. Raises
    InvalidRequest for bytes that are not UTF-8.
    """
    if not text.startswith(_START):
        return (), text
    calls: list[FilterCall] = []
    position = len(_START)
    while True:
        match = _NAME.match(text, position)
        end = _closing_parenthesis(text, match.end()) if match else None
        if match is None or end is None:
            return (), text
        calls.append(FilterCall(match[1], _parse_arguments(text[match.end() : end])))
        following = text[end + 1 : end + 2]
        position = end + 2
        if following == "/" and position < len(text):
            return tuple(calls), text[position:]
        if following != ":":
            return (), text


def _closing_parenthesis(text: str, start: int) -> int | None:
    """The position of the parenthesis that closes the one just before ``start``."""
    depth = 1
    for match in re.compile(r"[()]").finditer(text, start):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.start()
    return None


def _parse_arguments(text: str) -> tuple[str, ...]:
    """The arguments in ``text``, separated by commas outside of parentheses."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r"[(),]", text):
        if match[0] != ",":
            depth += 1 if match[0] == "(" else -1
        elif depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    try:
        return tuple(percent_decode(part).strip() for part in parts)
    except UnicodeError:
        raise InvalidRequest.one("filters", "percent-encoded UTF-8", text) from None


Position = tuple[str, int | RelativeLength]
"""Where an overlay is along one axis: `start`, `end`, `centre` or `repeat`, and the distance from there."""


def parse_position(text: str, name: str, builder: RequestBuilder) -> Position | None:
    """The position that ``text`` is: pixels, or percent of the side with `p`, from the end if negative;
    `center` or `repeat`. Adds a problem and returns None if it is not one."""
    if text in {"center", "repeat"}:
        return ("centre" if text == "center" else "repeat"), 0
    match = _POSITION.fullmatch(text)
    if match is None or (match[3] and float(match[2]) > 100):
        builder.add_error(name, "pixels, a percentage such as 20p, center or repeat for its position", text)
        return None
    distance = float(match[2])
    length = RelativeLength(round(distance / 100, 3)) if match[3] else min(round(distance), _MAX_OFFSET)
    return ("end" if match[1] else "start"), length


def position_fields(x: Position, y: Position) -> dict[str, object]:
    """The fields of an overlay at the position ``x``, ``y``."""
    repeated = ("h" if x[0] == "repeat" else "") + ("v" if y[0] == "repeat" else "")
    vertical = {"start": "north", "end": "south"}.get(y[0], "")
    horizontal = {"start": "west", "end": "east"}.get(x[0], "")
    fields: dict[str, object] = {"gravity": Gravity(vertical + horizontal or "centre"), "x": x[1], "y": y[1]}
    return {**fields, "spread": Flip(repeated)} if repeated else fields


def parse_percentage(text: str, name: str, builder: RequestBuilder) -> RelativeLength | None:
    """``text`` percent of a side; None for `none`, an empty text or 0."""
    if text in {"none", ""}:
        return None
    percent = builder.number(text, name, 0, 100)
    return RelativeLength(round(percent / 100, 3)) if percent else None
