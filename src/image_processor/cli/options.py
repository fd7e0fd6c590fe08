"""The options that several commands share, and how they change the settings."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from image_processor.config.settings import PREFIX, Settings, from_environment
from image_processor.domain.errors import InvalidSettings, Problem

Data = Annotated[
    Path | None,
    typer.Option(help="Directory of uploads, renditions and catalog.", show_default="data", file_okay=False),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="Recipe file.", show_default="the built-in recipe", dir_okay=False),
]
Count = Annotated[
    int | None,
    typer.Option("--workers", help="Images processed at the same time.", show_default="one per core"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def settings_with(**chosen: Any) -> Settings:
    """The environment's settings, with those options on top that were given (are not None).

    An option is judged as its variable would be; a mistake in it names the option.
    """
    options = {PREFIX + name.upper(): str(value) for name, value in chosen.items() if value is not None}
    try:
        return from_environment({**os.environ, **options})
    except InvalidSettings as error:
        raise InvalidSettings([_as_option(problem, options) for problem in error.problems]) from None


def _as_option(problem: Problem, options: Collection[str]) -> Problem:
    if problem.name not in options:
        return problem
    return replace(problem, name="--" + problem.name.removeprefix(PREFIX).lower())
