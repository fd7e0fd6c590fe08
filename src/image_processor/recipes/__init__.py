"""Ground floor: the recipe says which uploads get which renditions.

A TOML text becomes a frozen `Recipe`: presets are named transformations, rules map globs on the
key to presets. `transformations_for(key)` is what the plan asks. Mistakes name their line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from image_processor.errors import InvalidRecipe, Problem
from image_processor.frozen import frozen
from image_processor.globs import matches
from image_processor.toml_lines import Lines
from image_processor.transformation import Transformation

from .mistakes import Mistakes
from .presets import read_preset

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


@frozen
class Rule:
    """Uploads whose key fits the glob ``match`` get ``presets``; none at all if it is empty."""

    match: str
    presets: tuple[str, ...]


@frozen
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
    mistakes = Mistakes(Lines(text))
    recipe = _Reading(mistakes).recipe(table)
    if mistakes.problems:
        raise InvalidRecipe(sorted(mistakes.problems, key=lambda problem: problem.line or 0))
    return recipe


_RULE_FIELDS = ("match", "presets")


class _Reading:
    """One pass over a parsed TOML document that notes every mistake instead of stopping."""

    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes

    def recipe(self, table: dict[str, Any]) -> Recipe:
        self._mistakes.only(("presets", "rules"), table)
        presets = self._mistakes.table(table.get("presets", {}), "presets")
        rules = table.get("rules", [])
        if not isinstance(rules, list) or not rules:
            self._mistakes.note(("rules",), "at least one [[rules]] table", rules)
            rules = []
        known = {
            name: read_preset(preset, self._mistakes, "presets", name) for name, preset in presets.items()
        }
        recipe = Recipe(known, tuple(self._rules(rules, known)))
        used = set(chain.from_iterable(rule.presets for rule in recipe.rules))
        for name in () if self._mistakes.problems else known:
            if name not in used:
                self._mistakes.note(("presets", name), "a rule that names it", "none", shown=True)
        return recipe

    def _rules(self, rules: list[Any], presets: Mapping[str, Any]) -> Iterator[Rule]:
        catch_all = False
        for number, given in enumerate(rules):
            path = ("rules", number)
            rule = self._mistakes.table(given, *path)
            self._mistakes.only(_RULE_FIELDS, rule, *path)
            if catch_all:
                self._mistakes.note(
                    path, 'no rule after match = "**", which takes every key', "one", shown=True
                )
            glob = self._glob(rule.get("match"), *path)
            yield Rule(glob, self._names(rule.get("presets"), presets, *path))
            catch_all = catch_all or glob == "**"

    def _glob(self, given: Any, *path: str | int) -> str:
        try:
            matches(given, "")
        except ValueError as error:
            self._mistakes.note((*path, "match"), "a well-formed glob", str(error), shown=True)
            return ""
        except TypeError:
            self._mistakes.note((*path, "match"), 'a glob such as "photos/**/*.jpg"', given)
            return ""
        return str(given)

    def _names(self, given: Any, presets: Mapping[str, Any], *path: str | int) -> tuple[str, ...]:
        if not isinstance(given, list):
            self._mistakes.note((*path, "presets"), "a list of preset names", given)
            return ()
        for name in given:
            if not isinstance(name, str) or name not in presets:
                self._mistakes.note(
                    (*path, "presets"), "a preset of this recipe (" + ", ".join(presets) + ")", name
                )
            elif given.count(name) > 1:
                self._mistakes.note((*path, "presets"), "each preset once", given)
                return ()
        return tuple(name for name in given if isinstance(name, str))
