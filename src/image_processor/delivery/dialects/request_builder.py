"""Delivery, step 1: builds the `RenditionRequest` of another product's URL and collects its errors.

A dialect fills a `RequestBuilder` field by field. The builder is mutable; what it builds is not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from image_processor.delivery.request import CropSpec, Geometry, RenditionRequest, SizingRule
from image_processor.delivery.url.parameter_names import AUTO
from image_processor.domain.errors import (
    BucketNotAllowed,
    InvalidKey,
    InvalidRequest,
    InvalidTransformation,
    Problem,
)
from image_processor.domain.formats import FORMAT_ALIASES, WRITABLE
from image_processor.domain.keys import check_key
from image_processor.domain.rounding import round_number
from image_processor.domain.transformation import MAX_OVERLAYS, PARAMETERS, Colour

from . import colours

_T = TypeVar("_T")

_ROWS = {row.field: row for row in PARAMETERS}
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,9}(\.[0-9]{0,20})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}")
_BUCKET = re.compile(r"s3:(?://)?([^/]*)/(.*)", re.DOTALL)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_REMOTE = re.compile(r"(?:https?:)?//([^/?#]*)/([^?#]*).*", re.IGNORECASE | re.DOTALL)
_MAX_SHOWN = 100
"""Characters of a value that an error message shows."""

TRUE: Final = frozenset({"1", "t", "true"})
FALSE: Final = frozenset({"", "0", "f", "false"})


class RequestBuilder:
    """Collects the fields of a request, and every problem.

    ``lenient``: features that are not supported are ignored instead of being a problem.
    ``buckets``: the names of buckets, or hosts in lower case, that a URL may use, each with `=PREFIX` or
    without; the keys of each are those below its prefix in the store of originals.
    """

    def __init__(self, *, lenient: bool, buckets: frozenset[str]) -> None:
        self.lenient = lenient
        self.buckets = buckets
        self.problems: list[Problem] = []
        self.aliases: dict[str, str] = {}
        """What the URL calls a name that appears in a problem."""
        self.values: dict[str, Any] = {}
        """Fields of the transformation, each valid by itself."""
        self.format: str | None = None
        self.qualities: dict[str, int] = {}
        self.preset: str | None = None
        self.sizing: SizingRule | None = None
        self.crop: CropSpec | None = None
        self.focus: tuple[float, float] | None = None
        self.geometry: Geometry | None = None
        self.max_age: int | None = None
        self.source_formats: dict[str, str] = {}
        self.filename: str | None = None
        self.attachment = False

    def build(self, key: str, *, signed: bool) -> RenditionRequest:
        """The request for the original ``key``. Raises InvalidRequest with every problem."""
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
            geometry=self.geometry,
            max_age=self.max_age,
            source_formats=self.source_formats,
            filename=self.filename,
            attachment=self.attachment,
        )

    def add_error(self, name: str, expected: str, got: object) -> None:
        """Add a problem with the parameter ``name``, which may be a word of the URL."""
        self.problems.append(Problem(self.aliases.get(name, _cut(name)), expected, _cut(repr(got))))

    def unsupported(
        self, name: str, expected: str = "nothing, as this is not supported", got: object = ""
    ) -> None:
        """Add a problem with a feature of the product that is not supported, unless ``lenient``;
        ``expected`` says what is supported in its place."""
        if not self.lenient:
            self.add_error(name, expected, got or name)

    def set_field(self, field: str, value: Any, name: str) -> None:
        """Set a field of the transformation; ``name`` is the parameter that it comes from."""
        row = _ROWS[field]
        if row.type.is_valid(value):
            self.values[field] = value
        else:
            self.add_error(name, row.expected, value)

    def set_soft_limit(self, limit: int | None) -> None:
        """Limit the bytes of the result as far as its quality allows; 0 and None are no limit."""
        if limit:
            self.values |= {"max_bytes": min(max(limit, 100), 100_000_000), "soft_limit": True}

    def remove_fields(self, *fields: str) -> None:
        for field in fields:
            self.values.pop(field, None)

    def number(self, text: str, name: str, low: float, high: float) -> float | None:
        """``text`` as a number with the decimals of a transformation. Adds a problem and returns None unless
        it is a number from ``low`` to ``high``."""
        text = text.strip()
        value = normalise(float(text)) if _NUMBER.fullmatch(text) else None
        if value is None or not low <= value <= high:
            self.add_error(name, f"a number from {low} to {high}", text)
            return None
        return value

    def integer(self, text: str, name: str, low: int, high: int) -> int | None:
        """``text`` as a whole number. Adds a problem and returns None unless it is one from ``low`` to
        ``high``."""
        text = text.strip()
        if _INTEGER.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        self.add_error(name, f"a whole number from {low} to {high}", text)
        return None

    def flag(self, text: str, name: str) -> bool | None:
        """``text`` as a boolean. Adds a problem and returns None if it is not one."""
        if text.lower() in TRUE:
            return True
        if text.lower() in FALSE:
            return False
        self.add_error(name, "1, 0, true or false", text)
        return None

    def colour(self, text: str, name: str) -> Colour | None:
        """``text`` as a colour. Adds a problem and returns None if it is not one."""
        try:
            return colours.parse_colour(text)
        except ValueError:
            self.add_error(name, colours.EXPECTED, text)
            return None

    def set_format(self, text: str, name: str, *, automatic: Iterable[str] = ()) -> None:
        """Set the output format; the names of ``automatic`` leave it to content negotiation."""
        format_ = FORMAT_ALIASES.get(text.lower(), text.lower())
        if format_ in WRITABLE:
            self.format = format_
        elif format_ in automatic:
            self.format = AUTO
        else:
            self.unsupported(name, "one of " + ", ".join(("jpg", *WRITABLE, *automatic)), text)

    def add_overlay(self, kind: type[_T], fields: dict[str, Any], name: str) -> None:
        """Add an overlay of the class ``kind`` on top of the others."""
        try:
            overlays = (*self.values.get("overlays", ()), kind(**fields))
        except InvalidTransformation as error:
            self.problems += [
                Problem(f"{name} ({problem.name})", problem.expected, problem.got)
                for problem in error.problems
            ]
            return
        if len(overlays) > MAX_OVERLAYS:
            self.add_error(name, f"at most {MAX_OVERLAYS} of them", len(overlays))
        else:
            self.values["overlays"] = overlays

    def parse_key(self, text: str, name: str) -> str | None:
        """The key of an original that ``text`` is, with or without a bucket before it, or as a URL whose host
        is listed like a bucket. Adds a problem and returns None for another URL or an invalid key. Raises
        BucketNotAllowed."""
        match, remote = _BUCKET.fullmatch(text), _REMOTE.fullmatch(text)
        if match is not None:
            text = check_bucket(match[1], self.buckets) + match[2]
        elif remote is not None and remote[1].lower() in _prefixes(self.buckets):
            text = check_bucket(remote[1].lower(), self.buckets) + remote[2]
        elif _SCHEME.match(text):
            expected = "the key of an original, or a URL of a host that IMAGE_PROCESSOR_BUCKETS names"
            self.add_error(name, f"{expected}, as nothing is fetched from other servers", text)
            return None
        try:
            return check_key(text)
        except InvalidKey as error:
            self.add_error(name, error.problems[0].expected, text)
            return None


def check_bucket(bucket: str, buckets: frozenset[str]) -> str:
    """The prefix of the keys of ``bucket``. ``buckets`` are the names that URLs may use, each with `=PREFIX`
    or without. Raises BucketNotAllowed for another name."""
    prefixes = _prefixes(buckets)
    if bucket not in prefixes:
        raise BucketNotAllowed(f"expected a bucket that URLs may name, got {bucket[:_MAX_SHOWN]!r}")
    return prefixes[bucket]


def _prefixes(buckets: frozenset[str]) -> dict[str, str]:
    return {name: prefix for name, _, prefix in (entry.partition("=") for entry in buckets)}


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def normalise(value: float) -> float:
    """``value`` with the decimals of a transformation; a whole number is an int."""
    if not math.isfinite(value):
        return value
    return round_number(value)


def clamp(value: float, low: float, high: float) -> float:
    """``value`` limited to the range from ``low`` to ``high``, normalised."""
    return normalise(min(max(value, low), high))
