"""`serve`: the whole system on one machine."""

from __future__ import annotations

import logging
import os
import socket
from typing import Annotated

import typer

from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import Unavailable

from .context import command_context
from .options import Data, RecipeFile, WorkerCount, settings_with

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def command(
    ctx: typer.Context,
    data: Data = None,
    recipe: RecipeFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 picks a free one.", show_default="8000")
    ] = None,
    workers: WorkerCount = None,
) -> None:
    """Watch the upload directory, process new images, and serve the API, the web page and renditions.

    Ctrl-C stops the server after the work in progress; a second Ctrl-C stops it at once.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    settings = settings_with(data=data, recipe=recipe, host=host, port=port, workers=workers)
    context = command_context(ctx)
    with listen(settings.host, settings.port) as listener, context.open_server(settings) as run:
        _announce(settings, listener.getsockname()[1])
        run(listener)
        typer.echo("Stopping after the work in progress.")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Unavailable if the address cannot be used."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot listen on {host}, port {port}: {reason}; set --port or {PREFIX}PORT"
        raise Unavailable(message) from error
    # Connections inherit the option. asyncio sets it only on sockets created with the protocol number of TCP,
    # and without it each response on a kept connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _announce(settings: Settings, port: int) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    typer.echo(f"Drop images into {settings.data / 'uploads'} or on http://{host}:{port}")
    if settings.host not in _LOOPBACK:
        warning = f"{settings.host} may be reachable from other machines; the API needs no password."
        typer.echo(f"warning: {warning}", err=True)
