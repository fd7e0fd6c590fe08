"""Delivery, step 1: parses the values of canonical parameter pairs, each value by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from image_processor.domain.errors import Problem
from image_processor.domain.transformation import PARAMETERS, read_pairs, unquote

from .parameter_names import AUTO, FORMAT, PRESET

_ROWS = tuple(row for row in PARAMETERS if row.name != FORMAT)
_FORMAT = next(row for row in PARAMETERS if row.name == FORMAT)
_HINTABLE = {"w": "width", "dpr": "dpr"}
"""Parameters that may be `auto`: client hints give their values. The value is the field's name."""


class ParsedValues(Struct, frozen=True):
    """``fields`` are fields of a transformation. ``format`` is a writable format, AUTO or None.
    ``hinted`` are the fields that client hints give."""

    fields: Mapping[str, Any]
    format: str | None
    preset: str | None
    hinted: tuple[str, ...]


def parse_values(pairs: Iterable[tuple[str, str]]) -> tuple[ParsedValues, list[Problem]]:
    """The values of pairs with known names, and every problem."""
    pairs = tuple(pairs)
    raw = dict(pairs)
    problems: list[Problem] = []
    format_, preset = raw.get(FORMAT), _parse_preset(raw.get(PRESET), problems)
    if format_ not in {None, AUTO} and not _FORMAT.type.is_valid(format_):
        problems.append(Problem(FORMAT, f"{_FORMAT.expected} | {AUTO}", repr(format_)))
    hinted = tuple(field for name, field in _HINTABLE.items() if raw.get(name) == AUTO)
    text = ",".join(f"{name}={value}" for name, value in pairs if _is_field(name, value))
    fields: dict[str, Any] = {}
    if text:
        fields, of_fields = read_pairs(text, _ROWS, separator=",", equals="=")
        problems += of_fields
    return ParsedValues(fields, format_, preset, hinted), problems


def _is_field(name: str, value: str) -> bool:
    """Whether a pair sets a field of the transformation directly."""
    return name not in {FORMAT, PRESET} and not (value == AUTO and name in _HINTABLE)


def _parse_preset(text: str | None, problems: list[Problem]) -> str | None:
    if text is None:
        return None
    try:
        return unquote(text)
    except ValueError:
        expected = "a preset's name, with ~ and two hex digits for each escaped byte"
        problems.append(Problem(PRESET, expected, repr(text)))
        return None
