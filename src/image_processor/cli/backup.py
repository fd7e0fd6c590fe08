"""`backup` and `restore`: copy this machine's catalog into one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from image_processor.domain.errors import Invalid, Problem

from .context import command_context
from .options import Data, settings_with

_Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]


def backup_command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE", dir_okay=False)],
    data: Data = None,
    force: _Force = False,
) -> None:
    """Copy the catalog into FILE, consistently, while a server may run.

    Back up the originals under `uploads` too. Renditions can be rendered again.
    """
    context = command_context(ctx)
    catalog = context.catalog_file(settings_with(data=data))
    if not catalog.is_file():
        raise Invalid.one("--data", "a data directory with a catalog", str(catalog.parent))
    _check_overwrite(file, force=force)
    typer.echo(f"{context.back_up(catalog, file)} records in {file}")


def restore_command(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A file that `backup` wrote.", metavar="FILE", exists=True, dir_okay=False)
    ],
    data: Data = None,
    force: _Force = False,
) -> None:
    """Replace this machine's catalog by the one in FILE, while no server runs.

    The next start of the server, or `reconcile`, finds what was uploaded, changed or deleted since.
    """
    context = command_context(ctx)
    catalog = context.catalog_file(settings_with(data=data))
    with context.data_dir_lock(catalog.parent):
        _check_overwrite(catalog, force=force)
        typer.echo(f"{context.restore(file, catalog)} records in {catalog}")
    typer.echo("next: image-processor reconcile, or start the server", err=True)


def _check_overwrite(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise Invalid([Problem(str(file), "no file, or --force to replace it,", "one")])
