"""The recipe decides which uploads get which renditions.

A TOML text becomes a frozen `Recipe`: presets are named lists of transformations, rules map globs on
keys to presets. Ingest asks `eager_for(key)`, delivery `transformations_for(key)`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import InvalidRecipe, Problem
from image_processor.domain.keys import is_plain_prefix, rendition_prefix
from image_processor.domain.transformation import ON_DEMAND, Transformation

from .globs import matches
from .presets import is_eager, is_public, read_preset
from .toml_errors import ErrorCollector

_DEEP_KEY = re.compile(r"""(?<![\w.-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")
"""Names with dots between them. The time that tomllib takes for such a key is quadratic in their number."""

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
    """Maps the uploads whose key matches the glob ``match`` to ``presets`` (none: ignore them).

    ``cache_control`` is the Cache-Control of their renditions; None for the one in the settings.
    """

    match: str
    presets: tuple[str, ...]
    cache_control: str | None = None


class Recipe(Struct, frozen=True):
    """Presets by name, and the rules in order: the first rule that matches a key applies.

    ``private`` names the presets whose renditions need a signed URL, ``lazy`` those whose renditions are
    made at their first view.
    """

    presets: Mapping[str, tuple[Transformation, ...]]
    rules: tuple[Rule, ...]
    private: frozenset[str] = frozenset()
    lazy: frozenset[str] = frozenset()

    def transformations_for(self, key: str) -> tuple[Transformation, ...]:
        """The transformations of an upload under ``key``, without repetitions; empty if no rule matches."""
        names = self.presets_for(key)
        return tuple(dict.fromkeys(chain.from_iterable(self.presets[name] for name in names)))

    def eager_for(self, key: str) -> tuple[Transformation, ...]:
        """Those of `transformations_for` that ingest makes at upload: some preset that is not lazy declares
        them.

        All of them if ``key`` is so long that the prefix of its renditions has a digest: the first view could
        not find the original by such a path.
        """
        declared = self.transformations_for(key)
        lazy = self.lazy.intersection(self.presets_for(key))
        if not lazy or not is_plain_prefix(rendition_prefix(key)):
            return declared
        names = (name for name in self.presets_for(key) if name not in lazy)
        eager = set(chain.from_iterable(self.presets[name] for name in names))
        return tuple(transformation for transformation in declared if transformation in eager)

    def lazy_for(self, key: str) -> Mapping[str, Transformation]:
        """Those of `transformations_for` that are made at their first view, by stored key."""
        if not self.lazy:
            return {}
        eager, prefix = set(self.eager_for(key)), rendition_prefix(key)
        lazy = (item for item in self.transformations_for(key) if item not in eager)
        return {prefix + self.stored_name(key, item): item for item in lazy}

    def without_lazy(self) -> Recipe:
        """This recipe with all renditions made at upload, for a caller that serves no requests."""
        return replace(self, lazy=frozenset())

    def stored_name(self, key: str, transformation: Transformation) -> str:
        """The last segment of a rendition's key.

        It is the plain name if a public preset of the original ``key`` declares the rendition;
        otherwise it starts with ON_DEMAND, and its URL needs a signature.
        """
        name = transformation.name
        return name if self._is_public(key, transformation) else ON_DEMAND + name

    def private_for(self, key: str) -> tuple[Transformation, ...]:
        """Those of `eager_for` that only private presets declare."""
        return tuple(
            transformation
            for transformation in self.eager_for(key)
            if not self._is_public(key, transformation)
        )

    def cache_control_for(self, key: str) -> str | None:
        """The Cache-Control of the rule that matches ``key``; None if the rule sets none."""
        rule = self.rule_for(key)
        return rule.cache_control if rule else None

    def presets_for(self, key: str) -> tuple[str, ...]:
        """The names of the presets of an upload under ``key``, in the order of its rule."""
        rule = self.rule_for(key)
        return rule.presets if rule else ()

    def _is_public(self, key: str, transformation: Transformation) -> bool:
        public = (name for name in self.presets_for(key) if name not in self.private)
        return any(transformation in self.presets[name] for name in public)

    def rule_for(self, key: str) -> Rule | None:
        """The first rule that matches ``key``."""
        return next((rule for rule in self.rules if matches(rule.match, key)), None)


def load_recipe(path: str | None) -> Recipe:
    """The recipe in the file at ``path``; the built-in recipe if ``path`` is None.

    Raises InvalidRecipe, also if the file cannot be read.
    """
    if path is None:
        return parse_recipe(DEFAULT_RECIPE)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRecipe([Problem(path, "a readable recipe file", str(error.strerror))]) from error
    except UnicodeDecodeError as error:
        raise InvalidRecipe([Problem(path, "a recipe file in UTF-8", str(error))]) from error
    return parse_recipe(text)


def parse_recipe(text: str) -> Recipe:
    """The recipe in a TOML text. Raises InvalidRecipe with every problem and its line."""
    errors = ErrorCollector(text)
    recipe = _RecipeReader(errors).read(_parse_toml(text))
    if errors.problems:
        raise InvalidRecipe(sorted(errors.problems, key=lambda problem: problem.line or 0))
    return recipe


def _parse_toml(text: str) -> dict[str, Any]:
    if found := _DEEP_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InvalidRecipe([Problem("the file", "TOML with shorter, less nested keys", found[0][:40], line)])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        position = re.search(r"\(at line (\d+)", str(error))
        line = int(position[1]) if position else len(text.splitlines())
        raise InvalidRecipe([Problem("the file", "TOML", str(error), line)]) from None
    except (ValueError, RecursionError) as error:
        # tomllib lets these pass, for a number of over 4,300 digits and for deeply nested lists.
        raise InvalidRecipe(
            [Problem("the file", "TOML with shorter, less nested values", str(error))]
        ) from None


_RULE_FIELDS = ("match", "presets", "cache_control")


class _RecipeReader:
    """Makes a Recipe from a parsed TOML document and adds every problem to ``errors``."""

    def __init__(self, errors: ErrorCollector) -> None:
        self._errors = errors

    def read(self, table: dict[str, Any]) -> Recipe:
        self._errors.check_names(("presets", "rules"), table)
        raw_presets = self._errors.require_table(table.get("presets", {}), "presets")
        raw_rules = table.get("rules", [])
        if not isinstance(raw_rules, list) or not raw_rules:
            self._errors.add(("rules",), "at least one [[rules]] table", raw_rules)
            raw_rules = []
        presets = {name: read_preset(raw, self._errors, "presets", name) for name, raw in raw_presets.items()}
        private = [
            name for name, raw in raw_presets.items() if not is_public(raw, self._errors, "presets", name)
        ]
        lazy = [name for name, raw in raw_presets.items() if not is_eager(raw, self._errors, "presets", name)]
        rules = tuple(self._read_rules(raw_rules, presets))
        recipe = Recipe(presets, rules, frozenset(private), frozenset(lazy))
        if not self._errors.problems:
            self._require_use(recipe)
        return recipe

    def _require_use(self, recipe: Recipe) -> None:
        used = set(chain.from_iterable(rule.presets for rule in recipe.rules))
        for name in recipe.presets:
            if name not in used:
                self._errors.add_text(("presets", name), "a rule that names it", "none")

    def _read_rules(self, raw_rules: list[Any], presets: Mapping[str, Any]) -> Iterator[Rule]:
        has_catch_all = False
        for number, raw in enumerate(raw_rules):
            path = ("rules", number)
            rule = self._errors.require_table(raw, *path)
            self._errors.check_names(_RULE_FIELDS, rule, *path)
            if has_catch_all:
                self._errors.add_text(path, 'no rule after match = "**", which takes every key', "one")
            glob = self._read_glob(rule.get("match"), *path)
            names = self._read_preset_names(rule.get("presets"), presets, *path)
            yield Rule(glob, names, self._read_cache_control(rule.get("cache_control"), *path))
            has_catch_all = has_catch_all or glob == "**"

    def _read_cache_control(self, raw: Any, *path: str | int) -> str | None:
        if raw is None or (isinstance(raw, str) and re.fullmatch(r"[ -~]{1,200}", raw)):
            return raw
        self._errors.add((*path, "cache_control"), "a line of ASCII such as max-age=3600", raw)
        return None

    def _read_glob(self, raw: Any, *path: str | int) -> str:
        if not isinstance(raw, str):
            self._errors.add((*path, "match"), 'a glob such as "photos/**/*.jpg"', raw)
            return ""
        try:
            matches(raw, "")
        except ValueError as error:
            self._errors.add_text((*path, "match"), "a well-formed glob", str(error))
            return ""
        return raw

    def _read_preset_names(self, raw: Any, presets: Mapping[str, Any], *path: str | int) -> tuple[str, ...]:
        if not isinstance(raw, list):
            self._errors.add((*path, "presets"), "a list of preset names", raw)
            return ()
        for name in raw:
            if not isinstance(name, str) or name not in presets:
                expected = f"a preset of this recipe ({', '.join(presets)})"
                self._errors.add((*path, "presets"), expected, name)
            elif raw.count(name) > 1:
                self._errors.add((*path, "presets"), "each preset once", raw)
                return ()
        return tuple(name for name in raw if isinstance(name, str))
