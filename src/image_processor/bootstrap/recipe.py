"""Checks of a recipe against the machine that is to process it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import InvalidRecipe, Problem
from image_processor.domain.formats import FORMATS
from image_processor.domain.transformation import Gravity
from image_processor.renditions.originals import overlay_keys


def check_recipe(recipe: Recipe, settings: Settings) -> None:
    """Check at start, once, that every preset can be rendered. Raises InvalidRecipe."""
    check_overlays(recipe, settings.overlays)
    check_extras(recipe)


def check_overlays(recipe: Recipe, prefix: str | None) -> None:
    """Check that every overlay image lies under ``prefix``; without a prefix none is allowed.

    Raises InvalidRecipe with one problem for each preset and key.
    """
    expected = "no overlay image while IMAGE_PROCESSOR_OVERLAYS is not set"
    if prefix:
        expected = f"a key that starts with {prefix!r} (IMAGE_PROCESSOR_OVERLAYS)"
    problems = [
        Problem(f"presets.{name}.overlays", expected, repr(key))
        for name, transformations in recipe.presets.items()
        for key in dict.fromkeys(overlay_keys(transformations))
        if not prefix or not key.startswith(prefix)
    ]
    if problems:
        raise InvalidRecipe(problems)


def check_extras(recipe: Recipe) -> None:
    """Check that the optional packages that presets need are installed.

    Raises InvalidRecipe with one problem for each preset that needs a missing one.
    """
    problems = [
        problem
        for name, transformations in recipe.presets.items()
        for problem in (
            *_faces_problem(name, {transformation.gravity for transformation in transformations}),
            *_format_problems(name, {transformation.format for transformation in transformations}),
        )
    ]
    if problems:
        raise InvalidRecipe(problems)


def _faces_problem(preset: str, gravities: Collection[Gravity]) -> Iterator[Problem]:
    if Gravity.FACES not in gravities:
        return
    from image_processor.engine.operations import faces  # noqa: PLC0415 - optional dependency

    if not faces.available():
        expected, got = f"{faces.PACKAGE} to be installed", f"none: {faces.INSTALL_HINT}"
        yield Problem(f"presets.{preset}.gravity", expected, got)


def _format_problems(preset: str, formats: Collection[str]) -> Iterator[Problem]:
    for name in sorted(formats):
        extra = FORMATS[name].extra
        if extra is None:
            continue
        from image_processor.engine.codecs.registry import CODECS, is_installed  # noqa: PLC0415 - optional

        if not is_installed(CODECS[name]):
            expected, got = (
                f"what writes {name} to be installed",
                f"none: pip install 'image-processor[{extra}]'",
            )
            yield Problem(f"presets.{preset}.formats", expected, got)
