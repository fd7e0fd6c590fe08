"""`serve`: the whole system on one machine."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from image_processor.settings import Settings
from image_processor.wiring import Parts, running

from .options import Data, RecipeFile, settings_with

_LOCAL = {"127.0.0.1", "::1", "localhost"}
_STOP_SECONDS = 5
"""How long open connections may last after the signal to stop."""


def command(
    data: Data = None,
    recipe: RecipeFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535, show_default="8000"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Images processed at the same time.", min=1, max=256, show_default="one per core"),
    ] = None,
) -> None:
    """Watch the upload directory, process what comes, and serve API, page and renditions.

    Stop it with Ctrl-C: what is in work is finished first.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    settings = settings_with(data=data, recipe=recipe, host=host, port=port, workers=workers)
    with running(settings) as parts:
        _announce(settings)
        _listen(parts)


def _announce(settings: Settings) -> None:
    typer.echo(
        f"Drop images into {settings.data / 'uploads'}; renditions come to {settings.data / 'processed'}."
    )
    if settings.host not in _LOCAL:
        typer.echo(
            f"warning: {settings.host} may be reached from other machines; the API asks for no password.",
            err=True,
        )


def _listen(parts: Parts) -> None:
    import uvicorn  # noqa: PLC0415 - only this command needs a server

    from image_processor.http_api import create_app  # noqa: PLC0415 - as above

    config = uvicorn.Config(
        create_app(parts),
        host=parts.settings.host,
        port=parts.settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    uvicorn.Server(config).run()
