"""Delivery: what the canonical pairs of one of our URLs mean, each value judged by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from image_processor.domain.errors import Problem
from image_processor.domain.transformation import PARAMETERS
from image_processor.domain.transformation.parameters import read_pairs
from image_processor.domain.transformation.values import unquote

from .parameter_names import AUTO, FORMAT, PRESET

_ROWS = tuple(row for row in PARAMETERS if row.name != FORMAT)
_FORMAT = next(row for row in PARAMETERS if row.name == FORMAT)
_HINTED = {"w": "width", "dpr": "dpr"}


class ParsedValues(Struct, frozen=True):
    """``values`` are fields of a transformation. ``format`` is one that can be written, AUTO or None;
    ``hinted`` are the fields that client hints give."""

    values: Mapping[str, Any]
    format: str | None
    preset: str | None
    hinted: tuple[str, ...]


def parse_values(pairs: Iterable[tuple[str, str]]) -> tuple[ParsedValues, list[Problem]]:
    """The values that pairs of known names stand for, and every mistake."""
    pairs = tuple(pairs)
    given = dict(pairs)
    problems: list[Problem] = []
    format_, preset = given.get(FORMAT), _preset(given.get(PRESET), problems)
    if format_ not in {None, AUTO} and not _FORMAT.kind.valid(format_):
        problems.append(Problem(FORMAT, f"{_FORMAT.expected} | {AUTO}", repr(format_)))
    hinted = tuple(field for name, field in _HINTED.items() if given.get(name) == AUTO)
    text = ",".join(f"{name}={value}" for name, value in pairs if _is_plain(name, value))
    values: dict[str, Any] = {}
    if text:
        values, wrong = read_pairs(text, _ROWS, between=",", equals="=")
        problems += wrong
    return ParsedValues(values, format_, preset, hinted), problems


def _is_plain(name: str, value: str) -> bool:
    return name not in {FORMAT, PRESET} and not (value == AUTO and name in _HINTED)


def _preset(text: str | None, problems: list[Problem]) -> str | None:
    if text is None:
        return None
    try:
        return unquote(text)
    except ValueError:
        problems.append(Problem(PRESET, "a preset's name, with ~ and two hex digits for a sign", repr(text)))
        return None
