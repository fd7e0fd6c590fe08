"""`process`: renders files and directories, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .context import command_context
from .options import Json, Quiet, RecipeFile, WorkerCount
from .process_files import Call, process_files


def command(  # noqa: PLR0913, PLR0917 - one per option
    ctx: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Images, or directories of images.", metavar="FILE|DIR...")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory to write the renditions to.", file_okay=False)
    ],
    recipe: RecipeFile = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of each file, such as `{stem}-{width}.{ext}`; also `{height}`, `{format}` and "
            "`{options}`.",
            show_default="one directory for each original",
        ),
    ] = None,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Leave out files whose renditions exist and are not older than they."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print what would be rendered, and render nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then render what is added or changed, until Ctrl-C.")
    ] = False,
    worker_count: WorkerCount = None,
    quiet: Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for each rendition.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Render files and directories as a recipe declares, without a server.

    The renditions of cat.jpg go to OUT/cat.jpg/, one file each; OUT/.image-processor/ keeps their media
    types and cache headers. With --name they go to files of that name, and nothing else is written. Inputs
    with a file name in common keep their folders. Presets with `eager = false` are rendered, too. Reports
    every refused or failed file and continues. Exits with 1 if an image was refused, with 3 if some work
    could not be done now.
    """
    call = Call(
        paths=tuple(paths),
        out=out,
        recipe=recipe,
        name=name,
        skip_existing=skip_existing,
        dry_run=dry_run,
        watch=watch,
        workers=worker_count,
        quiet=quiet,
        verbose=verbose,
        as_json=as_json,
    )
    if status := process_files(command_context(ctx), call):
        raise typer.Exit(status)
