"""Ground floor: the recipe says which uploads get which renditions.

A TOML text becomes a frozen `Recipe`: presets are named transformations, rules map globs on the
key to presets. `transformations_for(key)` is what the plan asks. Mistakes name their line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from .errors import InvalidRecipe, Problem
from .formats import FORMATS, WRITABLE
from .globs import matches
from .toml_lines import Lines
from .transformation import PARAMETERS, Fit, Transformation

DEFAULT_RECIPE = """\
# The built-in recipe: a smart thumbnail and four widths, each in AVIF and JPEG.
[presets.thumbnail]
width = 200
height = 200
fit = "cover"
gravity = "attention"
formats = ["avif", "jpeg"]

[presets.responsive]
widths = [320, 640, 1280, 1920]
formats = ["avif", "jpeg"]

[[rules]]
match = "**"
presets = ["thumbnail", "responsive"]
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """Uploads whose key fits the glob ``match`` get ``presets``; none at all if it is empty."""

    match: str
    presets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Presets by name, and the rules in order: the first rule that fits a key decides."""

    presets: Mapping[str, tuple[Transformation, ...]]
    rules: tuple[Rule, ...]

    def transformations_for(self, key: str) -> tuple[Transformation, ...]:
        """What an upload under ``key`` gets, each transformation once; empty if no rule wants it."""
        rule = next((rule for rule in self.rules if matches(rule.match, key)), None)
        if rule is None:
            return ()
        return tuple(dict.fromkeys(chain.from_iterable(self.presets[name] for name in rule.presets)))


def parse_recipe(text: str) -> Recipe:
    """The recipe a TOML text describes; raises InvalidRecipe with every mistake and its line."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+)", str(error))
        line = int(place[1]) if place else len(text.splitlines())
        raise InvalidRecipe([Problem("the file", "TOML", str(error), line)]) from None
    reading = _Reading(Lines(text))
    recipe = reading.recipe(table)
    if reading.problems:
        raise InvalidRecipe(sorted(reading.problems, key=lambda problem: problem.line or 0))
    return recipe


_ROWS = {row.field: row for row in PARAMETERS}
_TEXT_FIELDS = ("fit", "gravity", "background")
_PLAIN_FIELDS = ("width", "height", "enlarge")
_PRESET_FIELDS = (
    "width",
    "widths",
    "height",
    "fit",
    "gravity",
    "background",
    "enlarge",
    "quality",
    "formats",
)
_RULE_FIELDS = ("match", "presets")


class _Reading:
    """One pass over a parsed TOML document that notes every mistake instead of stopping."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.problems: list[Problem] = []

    def recipe(self, table: dict[str, Any]) -> Recipe:
        self._only(("presets", "rules"), table)
        presets = self._table(table.get("presets", {}), "presets")
        rules = table.get("rules", [])
        if not isinstance(rules, list) or not rules:
            self._note(("rules",), "at least one [[rules]] table", rules)
            rules = []
        known = {name: self._preset(name, preset) for name, preset in presets.items()}
        recipe = Recipe(known, tuple(self._rules(rules, known)))
        used = set(chain.from_iterable(rule.presets for rule in recipe.rules))
        for name in () if self.problems else known:
            if name not in used:
                self._note(("presets", name), "a rule that names it", "none", shown=True)
        return recipe

    def _preset(self, name: str, given: Any) -> tuple[Transformation, ...]:
        path = ("presets", name)
        table = self._table(given, *path)
        before = len(self.problems)
        self._only(_PRESET_FIELDS, table, *path)
        values = {
            field: self._value(field, table[field], *path)
            for field in (*_PLAIN_FIELDS, *_TEXT_FIELDS)
            if field in table
        }
        widths = self._widths(table, *path)
        formats = self._formats(table, *path)
        qualities = self._qualities(table, *path)
        self._judge_box(table, *path)
        if len(self.problems) > before:
            return ()
        return tuple(
            Transformation(**{**values, "width": width, "format": format_, "quality": qualities.get(format_)})
            for width in widths
            for format_ in formats
        )

    def _value(self, field: str, given: Any, *path: str) -> Any:
        row = _ROWS[field]
        try:
            value = row.read(given) if field in _TEXT_FIELDS else given
        except (ValueError, KeyError, TypeError):
            value = None
        if not row.valid(value):
            expected = "true or false" if field == "enlarge" else row.expected
            self._note((*path, field), expected, given)
        return value

    def _widths(self, table: dict[str, Any], *path: str) -> list[int | None]:
        if "widths" not in table:
            return [table.get("width")]
        if "width" in table:
            self._note((*path, "widths"), "either width or widths", "both", shown=True)
        given = table["widths"]
        if not isinstance(given, list) or not given:
            self._note((*path, "widths"), "a list of whole numbers", given)
            return []
        for width in given:
            if not _ROWS["width"].valid(width):
                self._note((*path, "widths"), _ROWS["width"].expected, width)
        return given

    def _formats(self, table: dict[str, Any], *path: str) -> list[str]:
        given = table.get("formats", ["avif", "jpeg"])
        if not isinstance(given, list) or not given:
            self._note((*path, "formats"), "a list of formats", given)
            return []
        for format_ in given:
            if format_ not in WRITABLE:
                self._note((*path, "formats"), _ROWS["format"].expected, format_)
        return given

    def _qualities(self, table: dict[str, Any], *path: str) -> dict[str, int]:
        """Quality by format: one number for all lossy formats, or a table of them."""
        given = table.get("quality", {})
        lossy = [name for name in WRITABLE if FORMATS[name].quality is not None]
        if _ROWS["quality"].valid(given):
            return dict.fromkeys(lossy, given)
        if not isinstance(given, dict):
            self._note((*path, "quality"), "1-100, or a table such as { jpeg = 75, avif = 60 }", given)
            return {}
        for format_, quality in given.items():
            if format_ not in lossy:
                self._note((*path, "quality"), " | ".join(lossy), format_)
            elif not _ROWS["quality"].valid(quality):
                self._note((*path, "quality"), "1-100", quality)
        return given

    def _judge_box(self, table: dict[str, Any], *path: str) -> None:
        has_width = "width" in table or "widths" in table
        if not has_width and "height" not in table:
            self._note(path, "width, widths or height", "none of them", shown=True)
        for field in ("fit", "gravity"):
            if field in table and not (has_width and "height" in table):
                self._note((*path, field), "both a width and a height", "only one", shown=True)
        fit = table.get("fit", Fit.COVER)
        if "gravity" in table and fit in (Fit.FILL, Fit.INSIDE, Fit.OUTSIDE):
            self._note((*path, "gravity"), "fit cover or contain, which crop or pad", fit)

    def _rules(self, rules: list[Any], presets: Mapping[str, Any]) -> Iterator[Rule]:
        catch_all = False
        for number, given in enumerate(rules):
            path = ("rules", number)
            rule = self._table(given, *path)
            self._only(_RULE_FIELDS, rule, *path)
            if catch_all:
                self._note(path, 'no rule after match = "**", which takes every key', "one", shown=True)
            glob = self._glob(rule.get("match"), *path)
            yield Rule(glob, self._names(rule.get("presets"), presets, *path))
            catch_all = catch_all or glob == "**"

    def _glob(self, given: Any, *path: str | int) -> str:
        try:
            matches(given, "")
        except ValueError as error:
            self._note((*path, "match"), "a well-formed glob", str(error), shown=True)
            return ""
        except TypeError:
            self._note((*path, "match"), 'a glob such as "photos/**/*.jpg"', given)
            return ""
        return str(given)

    def _names(self, given: Any, presets: Mapping[str, Any], *path: str | int) -> tuple[str, ...]:
        if not isinstance(given, list):
            self._note((*path, "presets"), "a list of preset names", given)
            return ()
        for name in given:
            if not isinstance(name, str) or name not in presets:
                self._note((*path, "presets"), "a preset of this recipe (" + ", ".join(presets) + ")", name)
            elif given.count(name) > 1:
                self._note((*path, "presets"), "each preset once", given)
                return ()
        return tuple(name for name in given if isinstance(name, str))

    def _table(self, given: Any, *path: str | int) -> dict[str, Any]:
        if isinstance(given, dict):
            return given
        self._note(path, "a table", given)
        return {}

    def _only(self, known: tuple[str, ...], table: dict[str, Any], *path: str | int) -> None:
        for name in table:
            if name not in known:
                self._note((*path, name), "one of " + ", ".join(known), "an unknown name", shown=True)

    def _note(self, path: tuple[str | int, ...], expected: str, got: Any, *, shown: bool = False) -> None:
        """Remember a mistake; ``shown`` means that ``got`` is already a phrase for people."""
        name = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in path)
        got = got if shown else "nothing" if got is None else repr(got)
        self.problems.append(Problem(name, expected, got, self._lines.of(*path)))
