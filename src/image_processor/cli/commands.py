"""The commands, in the order in which `--help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from image_processor import __version__

from . import (
    backfill,
    backup,
    cost,
    dead_letters,
    doctor,
    events,
    library,
    process,
    recipe,
    reconcile,
    serve,
    sign,
    srcset,
    transform,
    translate,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:  # noqa: FBT001 - typer's signature
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Process uploaded images into the renditions that a recipe declares.

    Settings are environment variables; `image-processor doctor` lists them.
    """


app.command("process")(process.command)
app.command("transform")(transform.command)
app.command("sign")(sign.command)
app.command("translate")(translate.command)
app.command("srcset")(srcset.command)
app.command("serve")(serve.command)
app.command("list")(library.list_command)
app.command("show")(library.show_command)
app.command("similar")(library.similar_command)
app.command("reconcile")(reconcile.command)
app.command("backup")(backup.backup_command)
app.command("restore")(backup.restore_command)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.add_typer(backfill.app, name="backfill")
app.add_typer(recipe.app, name="recipe")
app.command("cost")(cost.command)
app.command("doctor")(doctor.command)
