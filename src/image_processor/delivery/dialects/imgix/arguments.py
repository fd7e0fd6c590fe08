"""Delivery, step 1: the parameters of an imgix URL, and how their values are read.

A value that imgix cannot mean is a problem in the builder, and then counts as absent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from image_processor.delivery.dialects.request_builder import FALSE, RequestBuilder, normalise
from image_processor.domain.errors import InvalidRequest
from image_processor.domain.keys import percent_decode
from image_processor.domain.transformation import Colour, RelativeLength

from .parameters import ALIASES, IGNORED, NAMES, REFUSED, UNLISTED, UNLISTED_SUPPORTED

MAX_SIDE: Final = 8192
"""imgix makes no larger image."""

_T = TypeVar("_T")

_ALPHA = re.compile(r"#?([0-9a-fA-F]{4}|[0-9a-fA-F]{8})")
_OFF: Mapping[str, frozenset[str]] = {"fill-gradient-cs": frozenset({"", "srgb"})}
"""Values of refused parameters that are what happens anyway; false for the others."""

_BASE64 = "64"


class Paint(Struct, frozen=True):
    """A colour with its opacity, 0-1."""

    colour: Colour
    alpha: float = 1

    @property
    def percent(self) -> float:
        return normalise(100 * self.alpha)


class Arguments:
    """The values of an imgix URL by the names of parameters, without empty ones. A value is read once, by the
    part of the dialect that it belongs to."""

    def __init__(self, values: Mapping[str, str], builder: RequestBuilder) -> None:
        self._values = values
        self.builder = builder

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """The value as it is, empty if there is none."""
        return self._values.get(name, "")

    def number(self, name: str, low: float, high: float) -> float | None:
        return self._read(name, lambda text: self.builder.number(text, name, low, high))

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number. Decimals are rounded away: imgix's clients compute sizes."""
        found = self.number(name, low, high)
        return None if found is None else round(found)

    def flag(self, name: str) -> bool:
        return bool(self._read(name, lambda text: self.builder.flag(text, name)))

    def paint(self, name: str) -> Paint | None:
        """A colour: a CSS name, or hex digits in the order of RGB or ARGB."""
        return self._read(name, lambda text: self.read_paint(text, name))

    def paints(self, name: str) -> Sequence[Paint] | None:
        """Two colours with a comma between them."""
        parts = self.words(name)
        if not parts:
            return None
        found = [self.read_paint(part, name) for part in parts]
        if len(found) != 2:
            self.builder.add_error(name, "two colours with a comma", self.text(name))
        return [paint for paint in found if paint] if len(found) == 2 and all(found) else None

    def words(self, name: str) -> list[str]:
        """The parts of a list in lower case."""
        return [part.strip().lower() for part in self.text(name).split(",") if part.strip()]

    def word(self, name: str, known: Collection[str], unsupported: Collection[str] = ()) -> str | None:
        """One of ``known``; ``unsupported`` are words that imgix knows and this program does not."""
        text = self.text(name).strip().lower()
        if not text or text in known:
            return text or None
        expected = " | ".join(known)
        if text in unsupported:
            self.builder.unsupported(name, expected, text)
        else:
            self.builder.add_error(name, expected, text)
        return None

    def chosen(self, name: str, known: Mapping[str, _T]) -> _T | None:
        """The meaning of a word."""
        word = self.word(name, known)
        return None if word is None else known[word]

    def length(self, name: str) -> int | RelativeLength | None:
        """Pixels, or a share of a side up to 1."""
        found = self.number(name, 0, 10**6)
        if not found:
            return None
        if found <= 1:
            return RelativeLength(max(0.001, round(float(found), 3)))
        return min(MAX_SIDE, round(found))

    def radii(self, name: str) -> tuple[int, int, int, int] | None:
        """One radius for all corners, or four from the top left on, clockwise."""
        parts = self.words(name)
        if not parts:
            return None
        if len(parts) not in {1, 4}:
            self.builder.add_error(name, "one radius or four with commas", self.text(name))
            return None
        found = [self.builder.number(part, name, 0, MAX_SIDE) for part in parts]
        if None in found:
            return None
        first, second, third, fourth = (round(radius or 0) for radius in (found * 4)[:4])
        return (first, second, third, fourth)

    def read_paint(self, text: str, name: str) -> Paint | None:
        match = _ALPHA.fullmatch(text.strip())
        if match is None:
            colour = self.builder.colour(text.strip(), name)
            return None if colour is None else Paint(colour)
        digits = match[1] if len(match[1]) == 8 else "".join(2 * digit for digit in match[1])
        alpha, *channels = bytes.fromhex(digits)
        return Paint(Colour(*channels), alpha / 255)

    def _read(self, name: str, read: Callable[[str], _T | None]) -> _T | None:
        return read(self._values[name]) if name in self._values else None


def parse_arguments(query: str, builder: RequestBuilder) -> Arguments:
    """The parameters of a query. Of a repeated one the last counts, but the values of `auto` add up; a name
    that ends with 64 has its value in base64. Refused ones become problems of ``builder``, unknown ones are
    left out, as in imgix."""
    values: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        raw_name, _, raw = part.partition("=")
        name, value = _pair(raw_name, raw, builder)
        if name in NAMES or name in UNLISTED or name in UNLISTED_SUPPORTED:
            joined = name == "auto" and name in values
            values[name] = f"{values[name]},{value}" if joined else value
    for name in sorted(values.keys() & (REFUSED.keys() | UNLISTED)):
        if values[name].lower() not in _OFF.get(name, FALSE):
            reason = REFUSED.get(name, "this is not supported")
            builder.unsupported(name, f"nothing, as {reason}", values[name])
    kept = {name: value for name, value in values.items() if value.strip()}
    dropped = IGNORED.keys() | REFUSED.keys() | UNLISTED
    return Arguments({name: value for name, value in kept.items() if name not in dropped}, builder)


def canonical_name(raw: str) -> str:
    """The name of imgix's list for a name or an alias, with or without 64 at its end."""
    name = raw.lower()
    if name.endswith(_BASE64):
        name = name.removesuffix(_BASE64)
    return ALIASES.get(name, name)


def _pair(raw_name: str, raw: str, builder: RequestBuilder) -> tuple[str, str]:
    try:
        name, value = percent_decode(raw_name, plus=True), percent_decode(raw, plus=True)
    except UnicodeError:
        raise InvalidRequest.one("the query", "percent-encoded UTF-8", f"{raw_name}={raw}") from None
    if not name.lower().endswith(_BASE64):
        return canonical_name(name), value
    decoded = _decode_base64(value)
    if decoded is None:
        builder.add_error(name, "UTF-8 in URL-safe base64", value)
    return canonical_name(name), decoded or ""


def _decode_base64(text: str) -> str | None:
    bare = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_", validate=True).decode()
    except ValueError:
        return None
