"""`serve`: the whole system on one machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from functools import partial
from typing import Annotated

import typer

from image_processor.config.settings import PREFIX, Settings
from image_processor.domain.errors import InvalidSettings, Problem, Unavailable

from .context import command_context
from .options import ConfigFile, Data, RecipeFile, WorkerCount, settings_with


def command(
    ctx: typer.Context,
    data: Data = None,
    recipe: RecipeFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 picks a free one.", show_default="8000")
    ] = None,
    workers: WorkerCount = None,
    config: ConfigFile = None,
) -> None:
    """Watch the upload directory, process new images, and serve the API, the web page and renditions.

    Ctrl-C stops the server after the work in progress; a second Ctrl-C stops it at once.
    A change of the recipe file is applied while the server runs, and so are changes of some settings in the
    file of settings. SIGHUP reads both files again.
    """
    from image_processor.standalone import open_files  # noqa: PLC0415 - `--help` is to be fast
    from image_processor.standalone.logs import configure_logs  # noqa: PLC0415 - as above

    load = partial(
        settings_with, config=config, data=data, recipe=recipe, host=host, port=port, workers=workers
    )
    settings = load()
    configure_logs(settings.log_format, settings.log_level)
    check_exposure(settings)
    open_files.raise_limit()
    context = command_context(ctx)
    with listen(settings.host, settings.port) as listener, context.open_server(settings, load) as run:
        _announce(settings, listener.getsockname()[1])
        run(listener)
        typer.echo("Stopping after the work in progress.")


def check_exposure(settings: Settings) -> None:
    """Raise InvalidSettings if other machines could use the API without a token, and nobody said they may."""
    if settings.all_tokens or settings.allow_anonymous or _is_local(settings.host):
        return
    expected = f"a token, because other machines may reach {settings.host},"
    fix = (
        "none: make one with `image-processor token create --scope admin`; or set "
        f"{PREFIX}ALLOW_ANONYMOUS=1 if only people who may use the server can reach it, for instance behind "
        "a proxy with a login, or with `docker run -p 127.0.0.1:8000:8000`"
    )
    raise InvalidSettings([Problem(f"{PREFIX}TOKENS", expected, fix)])


def _is_local(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: only this one is known to mean this machine everywhere (RFC 6761, 6.3)
        return host.lower() == "localhost"


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
    place = f"the bucket {settings.upload_bucket}" if settings.upload_bucket else settings.data / "uploads"
    typer.echo(f"Drop images into {place} or on http://{host}:{port}")
    if not settings.all_tokens and not _is_local(settings.host):
        warning = f"{settings.host} may be reachable from other machines, and the API asks for no token."
        typer.echo(f"warning: {warning}", err=True)
