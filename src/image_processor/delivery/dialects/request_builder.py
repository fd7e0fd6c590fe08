"""Dialects: what a URL asks for, put together piece by piece, with every mistake that is found.

The one thing here that changes: a dialect fills a `RequestBuilder` and builds a `RenditionRequest`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from image_processor.delivery.request import CropSpec, RenditionRequest, SizingRule
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.delivery.url.parser import MAX_URL
from image_processor.domain.errors import (
    BucketNotAllowed,
    InvalidKey,
    InvalidRequest,
    InvalidTransformation,
    Problem,
)
from image_processor.domain.formats import WRITABLE
from image_processor.domain.keys import check_key
from image_processor.domain.transformation import PARAMETERS, Colour
from image_processor.domain.transformation.values import PLACES
from image_processor.domain.transformation.vocabulary import MAX_OVERLAYS

from . import colours

_T = TypeVar("_T")

_ROWS = {row.field: row for row in PARAMETERS}
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,9}(\.[0-9]{0,20})?")
_BUCKET = re.compile(r"s3:(?://)?([^/]*)/(.*)", re.DOTALL)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_SHOWN = 100
_FORMATS = {"jpg": "jpeg", "tif": "tiff"}

YES: Final = frozenset({"1", "t", "true"})
NO: Final = frozenset({"", "0", "f", "false"})


class RequestBuilder:
    """``values`` are fields of a transformation, each valid by itself. What the product can and this
    program cannot is a mistake, or is left out where ``lenient``. ``buckets`` may be named."""

    def __init__(self, *, lenient: bool, buckets: frozenset[str]) -> None:
        self.values: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.aliases: dict[str, str] = {}
        """What a name of ours is called in the URL."""
        self.lenient = lenient
        self.buckets = buckets
        self.format: str | None = None
        self.qualities: dict[str, int] = {}
        self.preset: str | None = None
        self.sizing: SizingRule | None = None
        self.crop: CropSpec | None = None
        self.focus: tuple[float, float] | None = None
        self.filename: str | None = None
        self.attachment = False

    def asked(self, key: str, *, signed: bool) -> RenditionRequest:
        """What was asked for of the original ``key``. Raises InvalidRequest with every mistake."""
        if self.problems:
            raise InvalidRequest(self.problems)
        return RenditionRequest(
            key,
            self.values,
            self.format,
            qualities=self.qualities,
            preset=self.preset,
            signed=signed,
            sizing=self.sizing,
            crop=self.crop,
            focus=self.focus,
            filename=self.filename,
            attachment=self.attachment,
        )

    def wrong(self, name: str, expected: str, got: object) -> None:
        shown = repr(got)
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        self.problems.append(Problem(self.aliases.get(name, name), expected, shown))

    def lacks(
        self, name: str, instead: str = "nothing of the kind, as it is not made here", got: object = ""
    ) -> None:
        """``name`` asks for what is not made here; ``instead`` says what could be said in its place."""
        if not self.lenient:
            self.wrong(name, instead, got or name)

    def put(self, field: str, value: Any, name: str) -> None:
        """Set a field of the transformation that ``name`` says."""
        row = _ROWS[field]
        if row.type.is_valid(value):
            self.values[field] = value
        else:
            self.wrong(name, row.expected, value)

    def drop(self, *fields: str) -> None:
        for field in fields:
            self.values.pop(field, None)

    def number(self, text: str, name: str, low: float, high: float) -> float | None:
        """The number that ``text`` is, to so many decimals as a transformation has; None if it is
        none from ``low`` to ``high``, which is then a mistake."""
        text = text.strip()
        value = plain(float(text)) if _NUMBER.fullmatch(text) else None
        if value is None or not low <= value <= high:
            self.wrong(name, f"a number from {low} to {high}", text)
            return None
        return value

    def whole(self, text: str, name: str, low: int, high: int) -> int | None:
        text = text.strip()
        if re.fullmatch(r"[+-]?[0-9]{1,12}", text) and low <= int(text) <= high:
            return int(text)
        self.wrong(name, f"a whole number from {low} to {high}", text)
        return None

    def flag(self, text: str, name: str) -> bool | None:
        if text.lower() in YES:
            return True
        if text.lower() in NO:
            return False
        self.wrong(name, "1, 0, true or false", text)
        return None

    def colour(self, text: str, name: str) -> Colour | None:
        try:
            return colours.read(text)
        except ValueError:
            self.wrong(name, colours.EXPECTED, text)
            return None

    def written(self, text: str, name: str, *, automatic: Iterable[str] = ()) -> None:
        """Take the format that ``text`` names; those of ``automatic`` leave it to the client."""
        format_ = _FORMATS.get(text.lower(), text.lower())
        if format_ in WRITABLE:
            self.format = format_
        elif format_ in automatic:
            self.format = AUTO
        else:
            self.lacks(name, "one of " + ", ".join(("jpg", *WRITABLE, *automatic)), text)

    def overlay(self, kind: type[_T], fields: dict[str, Any], name: str) -> None:
        """Lay an overlay over what is there already."""
        try:
            combined = (*self.values.get("overlays", ()), kind(**fields))
        except InvalidTransformation as error:
            self.problems += [
                Problem(f"{name} ({one.name})", one.expected, one.got) for one in error.problems
            ]
            return
        if len(combined) > MAX_OVERLAYS:
            self.wrong(name, f"at most {MAX_OVERLAYS} of them", len(combined))
        else:
            self.values["overlays"] = combined

    def key(self, text: str, name: str) -> str | None:
        """The key among the originals that ``text`` stands for, with or without one of the buckets.

        Raises BucketNotAllowed.
        """
        match = _BUCKET.fullmatch(text)
        if match is not None:
            allow(match[1], self.buckets)
            text = match[2]
        elif _SCHEME.match(text):
            self.wrong(name, "a key of an original, as nothing is fetched from elsewhere", text)
            return None
        try:
            return check_key(text)
        except InvalidKey as error:
            self.wrong(name, error.problems[0].expected, text)
            return None


def decoded(text: str) -> str:
    """``text`` without percent-encoding. Raises UnicodeError where that is no UTF-8."""
    return unquote_to_bytes(text).decode()


def bounded(path: str, query: str) -> None:
    """Return if a URL is no longer than ours may be. Raises InvalidRequest."""
    if len(path) + len(query) > MAX_URL:
        raise InvalidRequest.one("the URL", f"at most {MAX_URL} bytes", len(path) + len(query))


def allow(bucket: str, buckets: frozenset[str]) -> None:
    """Return if a URL may name ``bucket``; all of them mean the one store of originals."""
    if bucket not in buckets:
        raise BucketNotAllowed(f"expected a bucket that URLs may name, got {bucket[:_SHOWN]!r}")


def plain(value: float) -> float:
    """``value`` with the decimals of a transformation, whole where it is."""
    if not math.isfinite(value):
        return value
    rounded = round(value, PLACES)
    return int(rounded) if rounded == int(rounded) else rounded


def clamped(value: float, low: float, high: float) -> float:
    return plain(min(max(value, low), high))
