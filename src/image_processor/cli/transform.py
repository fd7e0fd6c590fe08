"""`transform`: one rendition of one file, without a recipe or a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .context import command_context
from .options import Quiet
from .transform_file import transform_file


def command(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="The original; `-` for standard input.", metavar="FILE", allow_dash=True)
    ],
    text: Annotated[
        str,
        typer.Argument(
            help="The transformation, such as `w=640,fm=webp` or `width=640,format=webp`; "
            "docs/transformations.md lists all parameters.",
            metavar="TRANSFORMATION",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            help="File to write the rendition to; `-` for standard output. Without `fm`, its extension "
            "chooses the format.",
        ),
    ],
    quiet: Quiet = False,
    overlays: Annotated[
        Path, typer.Option(help="Directory of the overlay images.", file_okay=False)
    ] = Path(),
) -> None:
    """Render one file with one transformation.

    Exits with 1 if the original is refused, with 2 if the command is wrong.
    """
    transform_file(command_context(ctx), file, text, out, quiet=quiet, overlays=overlays)
