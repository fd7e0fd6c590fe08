"""Checks the text of a recipe and gives every problem its line, for an editor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import InvalidRecipe, Problem

from .recipe import Recipe, parse_recipe
from .toml_errors import TomlLines


class CheckedRecipe(Struct, frozen=True):
    """The recipe in a text; None, and the problems by line, if it is not valid."""

    recipe: Recipe | None
    problems: tuple[Problem, ...] = ()


def check_text(text: str, check: Callable[[Recipe], object]) -> CheckedRecipe:
    """Parse ``text``, then ``check`` the recipe against this machine, which raises InvalidRecipe."""
    try:
        recipe = parse_recipe(text)
        check(recipe)
    except InvalidRecipe as error:
        return CheckedRecipe(None, tuple(_located(error.problems, text)))
    return CheckedRecipe(recipe)


def _located(problems: Iterable[Problem], text: str) -> Iterator[Problem]:
    """The problems, with lines for those that name only a place such as `presets.small.gravity`."""
    lines = TomlLines(text)
    for problem in problems:
        line = problem.line or lines.line_of(*problem.name.split("."))
        yield replace(problem, line=line)
