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

from msgspec import Struct

from image_processor.config.globs import matches
from image_processor.domain.errors import InvalidRecipe, Problem
from image_processor.domain.transformation import ON_DEMAND, Transformation

from .mistakes import ErrorCollector
from .presets import is_public, read_preset

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


class Rule(Struct, frozen=True):
    """Uploads whose key fits the glob ``match`` get ``presets``; none at all if it is empty.
    ``cache_control`` is that of what is made of them, None for the setting's."""

    match: str
    presets: tuple[str, ...]
    cache_control: str | None = None


class Recipe(Struct, frozen=True):
    """Presets by name, and the rules in order: the first rule that fits a key decides. What the
    ``private`` ones make is only for who brings a signature."""

    presets: Mapping[str, tuple[Transformation, ...]]
    rules: tuple[Rule, ...]
    private: frozenset[str] = frozenset()

    def transformations_for(self, key: str) -> tuple[Transformation, ...]:
        """What an upload under ``key`` gets, each transformation once; empty if no rule wants it."""
        names = self.presets_for(key)
        return tuple(dict.fromkeys(chain.from_iterable(self.presets[name] for name in names)))

    def stored_name(self, key: str, transformation: Transformation) -> str:
        """The last segment of the key under which a rendition of the original ``key`` lies: the plain
        name if a public preset declares it for that original, else one that needs a signature."""
        name = transformation.name
        return name if self._is_public(key, transformation) else ON_DEMAND + name

    def private_for(self, key: str) -> tuple[Transformation, ...]:
        """What of `transformations_for` only private presets declare."""
        return tuple(one for one in self.transformations_for(key) if not self._is_public(key, one))

    def cache_control_for(self, key: str) -> str | None:
        """What the rule of ``key`` says of it."""
        rule = self._rule_for(key)
        return rule.cache_control if rule else None

    def _is_public(self, key: str, transformation: Transformation) -> bool:
        names = self.presets_for(key)
        return any(transformation in self.presets[name] for name in names if name not in self.private)

    def presets_for(self, key: str) -> tuple[str, ...]:
        """The names of the presets that an upload under ``key`` gets, in the order of its rule."""
        rule = self._rule_for(key)
        return rule.presets if rule else ()

    def _rule_for(self, key: str) -> Rule | None:
        return next((rule for rule in self.rules if matches(rule.match, key)), None)


def parse_recipe(text: str) -> Recipe:
    """The recipe that a TOML text describes. Raises InvalidRecipe with every error and its line."""
    mistakes = ErrorCollector(text)
    recipe = _Reading(mistakes).recipe(_parse_toml(text))
    if mistakes.problems:
        raise InvalidRecipe(sorted(mistakes.problems, key=lambda problem: problem.line or 0))
    return recipe


def _parse_toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+)", str(error))
        line = int(place[1]) if place else len(text.splitlines())
        raise InvalidRecipe([Problem("the file", "TOML", str(error), line)]) from None


_RULE_FIELDS = ("match", "presets", "cache_control")
_LINE = re.compile(r"[ -~]{1,200}")


class _Reading:
    """One pass over a parsed TOML document that notes every mistake instead of stopping."""

    def __init__(self, mistakes: ErrorCollector) -> None:
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
        private = {
            name for name, preset in presets.items() if not is_public(preset, self._mistakes, "presets", name)
        }
        recipe = Recipe(known, tuple(self._rules(rules, known)), frozenset(private))
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
            names = self._names(rule.get("presets"), presets, *path)
            yield Rule(glob, names, self._cache_control(rule.get("cache_control"), *path))
            catch_all = catch_all or glob == "**"

    def _cache_control(self, given: Any, *path: str | int) -> str | None:
        if given is None or (isinstance(given, str) and _LINE.fullmatch(given)):
            return given
        self._mistakes.note((*path, "cache_control"), "a line of ASCII such as max-age=3600", given)
        return None

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
