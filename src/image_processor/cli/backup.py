"""`backup` and `restore`: the catalog of one machine in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from image_processor.bootstrap.standalone import catalog_file, data_dir_lock
from image_processor.catalog.sqlite.backup import back_up, restore
from image_processor.domain.errors import Invalid

from .options import Data, settings_with

_Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def backup_command(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.", metavar="FILE", dir_okay=False)],
    data: Data = None,
    force: _Force = False,
) -> None:
    """Copy the catalog into FILE, as it is at one moment; a server may go on working.

    The catalog is not all: the originals under `uploads` want a copy too. Renditions can be made anew.
    """
    catalog = catalog_file(settings_with(data=data))
    if not catalog.is_file():
        raise Invalid.one("--data", "a data directory with a catalog", str(catalog.parent))
    _keep(file, force=force)
    typer.echo(f"{back_up(catalog, file)} records in {file}")


def restore_command(
    file: Annotated[
        Path, typer.Argument(help="What `backup` made.", metavar="FILE", exists=True, dir_okay=False)
    ],
    data: Data = None,
    force: _Force = False,
) -> None:
    """Put the catalog in FILE in the place of this machine's, while no server runs.

    What was uploaded, changed or deleted since is found by the next start of the server, or by
    `reconcile`.
    """
    catalog = catalog_file(settings_with(data=data))
    with data_dir_lock(catalog.parent):
        _keep(catalog, force=force)
        typer.echo(f"{restore(file, catalog)} records in {catalog}")
    typer.echo("next: image-processor reconcile, or start the server", err=True)


def _keep(file: Path, *, force: bool) -> None:
    if file.exists() and not force:
        raise Invalid.one("--force", f"the option, since {file} exists", "none")
