"""Reads one preset of a recipe: one transformation for each of its widths and formats.

The fields of a preset are the fields of `Transformation`, with TOML's own numbers, booleans and
lists. A list stands for the values that the text form joins with colons.
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
    Step,
    Transformation,
    overlay_from,
    parse,
    parse_step,
)
from image_processor.domain.transformation.aliases import canonical_value

from .toml_errors import ErrorCollector

Path = tuple[str, ...]

_PARAMETERS = {parameter.field: parameter for parameter in PARAMETERS}
# Fields that a preset writes differently from a transformation: as a list, or once for each format.
_SPECIAL = ("width", "quality", "format", "overlays", "steps")
_PLAIN = {field: parameter for field, parameter in _PARAMETERS.items() if field not in _SPECIAL}
_LISTS = ("widths", "formats", "overlays", "steps")
_FIELDS = ("width", "quality", *_LISTS, *_PLAIN, "transformations", "public", "eager")
_SIZES = ("width", "widths", "height", "ratio", "zoom")
_LOSSY = [name for name in WRITABLE if FORMATS[name].quality is not None]
_ANCHORS = ("gravity", "gravity_x", "gravity_y", "focal_point")


def read_preset(raw: Any, errors: ErrorCollector, *path: str) -> tuple[Transformation, ...]:
    """The transformations of a preset's table; none if it has a problem, which is added to ``errors``."""
    table = errors.require_table(raw, *path)
    before = len(errors.problems)
    errors.check_names(_FIELDS, table, *path)
    if "transformations" in table:
        return _read_texts(table, errors, path)
    values = {
        field: _read_value(parameter, table[field], errors, path)
        for field, parameter in _PLAIN.items()
        if field in table
    }
    values["overlays"] = _read_overlays(table.get("overlays", []), errors, path)
    values["steps"] = _read_steps(table.get("steps", []), errors, path)
    widths = _read_widths(table, errors, path)
    formats = _read_formats(table, errors, path)
    qualities = _read_qualities(table, errors, path)
    _check_box(table, errors, path)
    if len(errors.problems) > before:
        return ()
    try:
        return tuple(
            Transformation(**{**values, "width": width, "format": format_, "quality": qualities.get(format_)})
            for width, format_ in product(widths, formats)
        )
    except InvalidTransformation as error:
        errors.add_all(path, error.problems)
        return ()


def is_public(raw: Any, errors: ErrorCollector, *path: str) -> bool:
    """Whether a preset's renditions may be fetched without a signature: the default."""
    return _read_flag(raw, "public", errors, path)


def is_eager(raw: Any, errors: ErrorCollector, *path: str) -> bool:
    """Whether a preset's renditions are made at upload, the default, and not at their first view."""
    return _read_flag(raw, "eager", errors, path)


def _read_flag(raw: Any, name: str, errors: ErrorCollector, path: Path) -> bool:
    value = raw.get(name, True) if isinstance(raw, dict) else True
    if not isinstance(value, bool):
        errors.add((*path, name), "true or false", value)
    return value is not False


def _read_texts(table: Mapping[str, Any], errors: ErrorCollector, path: Path) -> tuple[Transformation, ...]:
    """Transformations in their text form; the preset may have no other field then."""
    path, texts = (*path, "transformations"), table["transformations"]
    others = set(table) - {"transformations", "public", "eager"}
    if others:
        errors.add_text(path, "no other field with it", ", ".join(others))
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        errors.add(path, 'a list of texts such as "w=640,fm=webp"', texts)
        return ()
    transformations: list[Transformation] = []
    for text in texts:
        try:
            transformations.append(parse(text))
        except InvalidTransformation as error:
            errors.add_all(path, error.problems)
    return tuple(transformations)


def _read_value(parameter: Parameter, raw: Any, errors: ErrorCollector, path: Path) -> Any:
    type_ = parameter.type
    try:
        value = type_.read(canonical_value(parameter.name, _as_text(raw))) if type_.textual else raw
    except (ValueError, KeyError):
        value = None
    if not type_.is_valid(value):
        expected = "true or false" if isinstance(parameter.default, bool) else parameter.expected
        errors.add((*path, parameter.field), expected, raw)
    return value


def _as_text(raw: Any) -> str:
    """``raw`` in the text form of a transformation. Raises ValueError if it has none."""
    if isinstance(raw, list):
        return ":".join(map(_as_text, raw))
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(raw)  # noqa: TRY004 - the caller treats it as any other wrong value
    return str(raw)


def _read_overlays(raw: Any, errors: ErrorCollector, path: Path) -> tuple[Overlay, ...]:
    path = (*path, "overlays")
    if not isinstance(raw, list):
        errors.add(path, "a list of tables", raw)
        return ()
    overlays: list[Overlay] = []
    for number, table in enumerate(raw):
        try:
            overlays.append(overlay_from(errors.require_table(table, *path, number)))
        except InvalidTransformation as error:
            errors.add_all((*path, number), error.problems)
    return tuple(overlays)


def _read_steps(raw: Any, errors: ErrorCollector, path: Path) -> tuple[Step, ...]:
    path = (*path, "steps")
    if not isinstance(raw, list) or not all(isinstance(text, str) for text in raw):
        errors.add(path, 'a list of texts such as "blur:3"', raw)
        return ()
    steps: list[Step] = []
    for number, text in enumerate(raw):
        try:
            steps.append(parse_step(text))
        except InvalidTransformation as error:
            errors.add_all((*path, number), error.problems)
    return tuple(steps)


def _read_widths(table: Mapping[str, Any], errors: ErrorCollector, path: Path) -> Sequence[int | None]:
    parameter = _PARAMETERS["width"]
    if "widths" not in table:
        width = table.get("width")
        if "width" in table and not parameter.type.is_valid(width):
            errors.add((*path, "width"), parameter.expected, width)
        return [width]
    path, widths = (*path, "widths"), table["widths"]
    if "width" in table:
        errors.add_text(path, "either width or widths", "both")
    if not isinstance(widths, list) or not widths:
        errors.add(path, "a list of whole numbers", widths)
        return []
    for width in widths:
        if not parameter.type.is_valid(width):
            errors.add(path, parameter.expected, width)
    return widths


def _read_formats(table: Mapping[str, Any], errors: ErrorCollector, path: Path) -> list[str]:
    path, formats = (*path, "formats"), table.get("formats", ["avif", "jpeg"])
    if not isinstance(formats, list) or not formats:
        errors.add(path, "a list of formats", formats)
        return []
    names = [canonical_value("fm", item) if isinstance(item, str) else item for item in formats]
    for name, format_ in zip(names, formats, strict=True):
        if name not in WRITABLE:
            errors.add(path, _PARAMETERS["format"].expected, format_)
    return names


def _read_qualities(table: Mapping[str, Any], errors: ErrorCollector, path: Path) -> dict[str, Any]:
    """The quality of each lossy format, written once for all of them or as a table."""
    path, raw = (*path, "quality"), table.get("quality", {})
    parameter = _PARAMETERS["quality"]
    if parameter.type.is_valid(raw):
        return dict.fromkeys(_LOSSY, raw)
    if not isinstance(raw, dict):
        errors.add(path, "1-100, auto, or a table such as { jpeg = 75, avif = 60 }", raw)
        return {}
    qualities = {canonical_value("fm", name): quality for name, quality in raw.items()}
    for format_, quality in qualities.items():
        if format_ not in _LOSSY:
            errors.add(path, " | ".join(_LOSSY), format_)
        elif not parameter.type.is_valid(quality):
            errors.add(path, parameter.expected, quality)
    return qualities


def _check_box(table: Mapping[str, Any], errors: ErrorCollector, path: Path) -> None:
    """Add a problem for a preset without a size, and for fields that need a box or a crop."""
    if not any(size in table for size in _SIZES):
        errors.add_text(path, f"one of {', '.join(_SIZES)}", "none of them")
    has_width = "width" in table or "widths" in table
    has_box = (has_width and "height" in table) or "ratio" in table
    for field in ("fit", *_ANCHORS):
        if field in table and not has_box:
            errors.add_text((*path, field), "both a width and a height", "only one")
    fit = canonical_value("fit", str(table.get("fit", Fit.COVER)))
    for field in _ANCHORS:
        if field in table and fit in (Fit.FILL, Fit.INSIDE, Fit.OUTSIDE):
            errors.add((*path, field), "fit cover, fill-down or contain, which crop or pad", fit)
