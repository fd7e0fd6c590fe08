"""Wiring: the recipe that a setting names, read from a file."""

from __future__ import annotations

from pathlib import Path

from image_processor.config.recipe import DEFAULT_RECIPE, Recipe, parse_recipe
from image_processor.domain.errors import InvalidRecipe, Problem
from image_processor.domain.transformation import Gravity
from image_processor.renditions.originals import overlay_keys


def check_overlays(recipe: Recipe, prefix: str | None) -> None:
    """Raise InvalidRecipe where an overlay's picture lies elsewhere than under ``prefix``; without one
    no picture may be laid on another."""
    expected = "no picture as long as IMAGE_PROCESSOR_OVERLAYS names no beginning of keys"
    if prefix:
        expected = f"a key that begins with {prefix!r}, as IMAGE_PROCESSOR_OVERLAYS says"
    problems = [
        Problem(f"presets.{name}.overlays", expected, repr(key))
        for name, transformations in recipe.presets.items()
        for key in dict.fromkeys(overlay_keys(transformations))
        if not prefix or not key.startswith(prefix)
    ]
    if problems:
        raise InvalidRecipe(problems)


def check_extras(recipe: Recipe) -> None:
    """Raise InvalidRecipe, which names each preset that wants what an optional package does where there
    is none: once at the start, not for every upload."""
    wanting = [
        name
        for name, transformations in recipe.presets.items()
        if any(transformation.gravity is Gravity.FACES for transformation in transformations)
    ]
    if not wanting:
        return
    from image_processor.engine.operations import faces  # noqa: PLC0415 - most recipes want no faces

    if not faces.available():
        expected, got = f"{faces.PACKAGE} to be installed", f"none: {faces.INSTALL_HINT}"
        raise InvalidRecipe([Problem(f"presets.{name}.gravity", expected, got) for name in wanting])


def load_recipe(path: str | None) -> Recipe:
    """The recipe in the file, or the built-in one. Raises InvalidRecipe, also for no such file."""
    if path is None:
        text = DEFAULT_RECIPE
    else:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRecipe([Problem(path, "a readable recipe file", str(error))]) from error
    return parse_recipe(text)
