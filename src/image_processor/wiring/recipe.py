"""Wiring: the recipe that a setting names, read from a file."""

from __future__ import annotations

from pathlib import Path

from image_processor.errors import InvalidRecipe, Problem
from image_processor.recipes import DEFAULT_RECIPE, Recipe, parse_recipe


def load_recipe(path: str | None) -> Recipe:
    """The recipe in the file, or the built-in one. Raises InvalidRecipe, also for no such file."""
    if path is None:
        return parse_recipe(DEFAULT_RECIPE)
    try:
        return parse_recipe(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRecipe([Problem(path, "a readable recipe file", str(error))]) from error
