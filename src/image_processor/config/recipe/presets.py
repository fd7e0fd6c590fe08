"""Ground floor: a preset's table becomes transformations: one for each of its widths and formats.

Its fields are those of a transformation, with TOML's own numbers, truths and lists; lists are what
a transformation's text joins with colons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from image_processor.domain.errors import InvalidTransformation
from image_processor.domain.formats import FORMATS, WRITABLE
from image_processor.domain.transformation import (
    PARAMETERS,
    Fit,
    Overlay,
    Parameter,
    Transformation,
    overlay_from,
    parse,
)

from .mistakes import ErrorCollector

Path = tuple[str, ...]

# What a preset says in a way of its own: a list of them, or one for each format.
_OWN = ("width", "quality", "format", "overlays")
_PLAIN = {row.field: row for row in PARAMETERS if row.field not in _OWN}
_ROWS = {row.field: row for row in PARAMETERS}
_FIELDS = ("width", "widths", "quality", "formats", "overlays", *_PLAIN, "transformations", "public")
_SIZES = ("width", "widths", "height", "ratio", "zoom")
_LOSSY = [name for name in WRITABLE if FORMATS[name].quality is not None]
_ANCHORS = ("gravity", "gravity_x", "gravity_y", "focal_point")


def read_preset(given: Any, mistakes: ErrorCollector, *path: str) -> tuple[Transformation, ...]:
    """The transformations of a preset's table; none where it has a mistake, which is then noted."""
    table = mistakes.table(given, *path)
    before = len(mistakes.problems)
    mistakes.only(_FIELDS, table, *path)
    if "transformations" in table:
        return _texts(table, mistakes, path)
    values = {
        field: _value(row, table[field], mistakes, path) for field, row in _PLAIN.items() if field in table
    }
    values["overlays"] = _overlays(table.get("overlays", []), mistakes, path)
    widths = _widths(table, mistakes, path)
    formats = _formats(table, mistakes, path)
    qualities = _qualities(table, mistakes, path)
    _judge_box(table, mistakes, path)
    if len(mistakes.problems) > before:
        return ()
    try:
        return tuple(
            Transformation(**{**values, "width": width, "format": format_, "quality": qualities.get(format_)})
            for width, format_ in product(widths, formats)
        )
    except InvalidTransformation as error:
        for problem in error.problems:
            mistakes.note((*path, problem.name), problem.expected, problem.got, shown=True)
        return ()


def is_public(given: Any, mistakes: ErrorCollector, *path: str) -> bool:
    """Whether everybody may see what a preset makes: it is so unless the preset says otherwise."""
    public = given.get("public", True) if isinstance(given, dict) else True
    if not isinstance(public, bool):
        mistakes.note((*path, "public"), "true or false", public)
    return public is not False


def _texts(table: Mapping[str, Any], mistakes: ErrorCollector, path: Path) -> tuple[Transformation, ...]:
    """Transformations written as texts; nothing else may be said beside them."""
    here, given = (*path, "transformations"), table["transformations"]
    others = set(table) - {"transformations", "public"}
    if others:
        mistakes.note(here, "no other field beside it", ", ".join(others), shown=True)
    if not isinstance(given, list) or not given or not all(isinstance(text, str) for text in given):
        mistakes.note(here, 'a list of texts such as "w=640,fm=webp"', given)
        return ()
    made: list[Transformation] = []
    for text in given:
        try:
            made.append(parse(text))
        except InvalidTransformation as error:
            for problem in error.problems:
                mistakes.note((*here, problem.name), problem.expected, problem.got, shown=True)
    return tuple(made)


def _value(row: Parameter, given: Any, mistakes: ErrorCollector, path: Path) -> Any:
    kind = row.kind
    try:
        value = kind.read(_as_text(given)) if kind.textual else given
    except (ValueError, KeyError):
        value = None
    if not kind.valid(value):
        expected = "true or false" if isinstance(row.default, bool) else row.expected
        mistakes.note((*path, row.field), expected, given)
    return value


def _as_text(given: Any) -> str:
    """How a transformation's text would say it. ValueError for what no text could."""
    if isinstance(given, list):
        return ":".join(map(_as_text, given))
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError(given)  # noqa: TRY004 - to its caller a type without a text is a bad text
    return str(given)


def _overlays(given: Any, mistakes: ErrorCollector, path: Path) -> tuple[Overlay, ...]:
    here = (*path, "overlays")
    if not isinstance(given, list):
        mistakes.note(here, "a list of tables", given)
        return ()
    made: list[Overlay] = []
    for number, table in enumerate(given):
        try:
            made.append(overlay_from(mistakes.table(table, *here, number)))
        except InvalidTransformation as error:
            for problem in error.problems:
                mistakes.note((*here, number, problem.name), problem.expected, problem.got, shown=True)
    return tuple(made)


def _widths(table: Mapping[str, Any], mistakes: ErrorCollector, path: Path) -> Sequence[int | None]:
    if "widths" not in table:
        width = table.get("width")
        if "width" in table and not _ROWS["width"].kind.valid(width):
            mistakes.note((*path, "width"), _ROWS["width"].expected, width)
        return [width]
    here, given = (*path, "widths"), table["widths"]
    if "width" in table:
        mistakes.note(here, "either width or widths", "both", shown=True)
    if not isinstance(given, list) or not given:
        mistakes.note(here, "a list of whole numbers", given)
        return []
    for width in given:
        if not _ROWS["width"].kind.valid(width):
            mistakes.note(here, _ROWS["width"].expected, width)
    return given


def _formats(table: Mapping[str, Any], mistakes: ErrorCollector, path: Path) -> list[str]:
    given = table.get("formats", ["avif", "jpeg"])
    if not isinstance(given, list) or not given:
        mistakes.note((*path, "formats"), "a list of formats", given)
        return []
    for format_ in given:
        if format_ not in WRITABLE:
            mistakes.note((*path, "formats"), _ROWS["format"].expected, format_)
    return given


def _qualities(table: Mapping[str, Any], mistakes: ErrorCollector, path: Path) -> dict[str, Any]:
    """Quality by format: one for all lossy formats, or a table of them."""
    here, given = (*path, "quality"), table.get("quality", {})
    valid = _ROWS["quality"].kind.valid
    if valid(given):
        return dict.fromkeys(_LOSSY, given)
    if not isinstance(given, dict):
        mistakes.note(here, "1-100, auto, or a table such as { jpeg = 75, avif = 60 }", given)
        return {}
    for format_, quality in given.items():
        if format_ not in _LOSSY:
            mistakes.note(here, " | ".join(_LOSSY), format_)
        elif not valid(quality):
            mistakes.note(here, _ROWS["quality"].expected, quality)
    return given


def _judge_box(table: Mapping[str, Any], mistakes: ErrorCollector, path: Path) -> None:
    """Whether what is said of a box has one, and what is said of a crop one that crops."""
    if not any(size in table for size in _SIZES):
        mistakes.note(path, f"one of {', '.join(_SIZES)}", "none of them", shown=True)
    has_width = "width" in table or "widths" in table
    boxed = (has_width and "height" in table) or "ratio" in table
    for field in ("fit", *_ANCHORS):
        if field in table and not boxed:
            mistakes.note((*path, field), "both a width and a height", "only one", shown=True)
    fit = table.get("fit", Fit.COVER)
    for field in _ANCHORS:
        if field in table and fit in (Fit.FILL, Fit.INSIDE, Fit.OUTSIDE):
            mistakes.note((*path, field), "fit cover, fill-down or contain, which crop or pad", fit)
