"""`recipe check` and `recipe show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from image_processor.config.recipe import DEFAULT_RECIPE, load_recipe
from image_processor.domain.errors import InvalidRecipe

from .output import USAGE

app = typer.Typer(no_args_is_help=True, help="Check a recipe, or show the built-in one.")


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="The recipe, a TOML file.", metavar="FILE")]) -> None:
    """List a recipe's presets and rules, or every error with its line.

    Exits with 2 if there is an error.
    """
    try:
        recipe = load_recipe(str(file))
    except InvalidRecipe as error:
        for problem in error.problems:
            typer.echo(f"{file}: {problem}", err=True)
        raise typer.Exit(USAGE) from None
    for name, transformations in recipe.presets.items():
        private = ", which need a signature" if name in recipe.private else ""
        lazy = ", made at their first view" if name in recipe.lazy else ""
        typer.echo(f"preset {name}: {len(transformations)} renditions{private}{lazy}")
        for transformation in transformations:
            typer.echo(f"  {transformation}")
    for rule in recipe.rules:
        typer.echo(f"rule {rule.match} -> {', '.join(rule.presets) or 'nothing'}")


@app.command("show")
def show() -> None:
    """Print the built-in recipe, as a template for your own."""
    typer.echo(DEFAULT_RECIPE, nl=False)
