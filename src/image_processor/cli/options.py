"""The options that several commands share, and how they change the settings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from image_processor.settings import Settings, from_environment

Data = Annotated[
    Path | None,
    typer.Option(help="Directory of uploads, renditions and catalog.", show_default="data", file_okay=False),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="Recipe file.", show_default="the built-in recipe", dir_okay=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def settings_with(**chosen: Any) -> Settings:
    """The environment's settings, with those options on top that were given (are not None)."""
    given = {name: value for name, value in chosen.items() if value is not None}
    return replace(from_environment(os.environ), **given)
