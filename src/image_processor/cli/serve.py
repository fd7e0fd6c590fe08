"""`serve`: the whole system on one machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
from typing import Annotated

import typer

from image_processor.bootstrap.standalone import Parts, running
from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import Unavailable

from .options import Count, Data, RecipeFile, settings_with

_LOCAL = {"127.0.0.1", "::1", "localhost"}


def command(
    data: Data = None,
    recipe: RecipeFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 picks a free one.", show_default="8000")
    ] = None,
    workers: Count = None,
) -> None:
    """Watch the upload directory, process what comes, and serve API, page and renditions.

    Stop it with Ctrl-C: what is in work is finished first.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for talkative in ("uvicorn", "watchfiles"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    settings = settings_with(data=data, recipe=recipe, host=host, port=port, workers=workers)
    with _socket(settings.host, settings.port) as listener, running(settings) as parts:
        _announce(settings, listener.getsockname()[1])
        _listen(parts, listener)
        typer.echo("Stopping: what is in work is finished first.")


def _socket(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        message = f"cannot listen on {host}, port {port}: {why}; --port or {PREFIX}PORT picks another"
        raise Unavailable(message) from error
    # Connections inherit it. asyncio sets it itself only on sockets that were made with the number of
    # TCP, and without it each answer on a kept connection waits 40 ms for the client's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _announce(settings: Settings, port: int) -> None:
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    typer.echo(f"Drop images into {settings.data / 'uploads'} or on http://{shown}:{port}")
    if settings.host not in _LOCAL:
        warning = f"{settings.host} may be reached from other machines; the API asks for no password."
        typer.echo(f"warning: {warning}", err=True)


def _listen(parts: Parts, listener: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM. A second signal, while work is finished, ends at once."""
    from image_processor.bootstrap.server import serve  # noqa: PLC0415 - no other command needs FastAPI

    # When it has stopped, uvicorn raises the signal again; by default that would end the process
    # before the workers could finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    serve(parts, listener)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
