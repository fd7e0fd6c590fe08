"""The options that several commands share, and how they override the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from image_processor.config.settings import PREFIX, Settings
from image_processor.config.settings_file import load_settings

Data = Annotated[
    Path | None,
    typer.Option(help="Directory of uploads, renditions and catalog.", show_default="data", file_okay=False),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="File of settings.",
        show_default="image-processor.toml, if it exists",
        dir_okay=False,
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", help="Recipe file.", show_default="the built-in recipe", dir_okay=False),
]
WorkerCount = Annotated[
    int | None,
    typer.Option("--workers", help="Images processed at the same time.", show_default="one per core"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only what went wrong.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Profile = Annotated[
    str | None,
    typer.Option(help="Profile of the AWS config file.", show_default="AWS_PROFILE, or default"),
]
StackName = Annotated[
    str | None,
    typer.Option("--stack", help="Stack on AWS whose own settings and recipe are used.", metavar="NAME"),
]
Region = Annotated[str | None, typer.Option(help="AWS region.", show_default="AWS_REGION, or the profile's")]


def settings_with(**options: Any) -> Settings:
    """The settings of the environment and the file of settings, overridden by the options that were given
    (are not None).

    An option is validated like its variable. Raises InvalidSettings, in which an invalid option is named
    as the option.
    """
    given = {PREFIX + name.upper(): str(value) for name, value in options.items() if value is not None}
    return load_settings(os.environ, given)


def note_builtin_recipe(settings: Settings) -> None:
    """Say on standard error that no recipe was given, where the result is right for the server's only."""
    if settings.recipe is None:
        typer.echo(
            f"The built-in recipe decides. For another one: --recipe FILE, or {PREFIX}RECIPE.", err=True
        )
