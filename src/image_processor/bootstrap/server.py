"""Composes the server of one machine: the running parts, the application and the HTTP server."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from image_processor.api.server import Server
from image_processor.api.standalone_app import standalone_app
from image_processor.config.settings import Settings

from .standalone import StandaloneContext, open_server_context


@contextmanager
def open_server(settings: Settings) -> Iterator[Callable[[socket.socket], None]]:
    """The running parts, and a function that answers requests on a listener until SIGINT or SIGTERM.

    At the end of the context the workers finish their uploads. Raises as `open_server_context`.
    """
    with open_server_context(settings) as context:
        yield partial(serve, context)


def serve(context: StandaloneContext, listener: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM. A second signal, while workers finish, ends at once."""
    server = Server(standalone_app(context), context.settings)
    # When uvicorn has stopped it raises the signal again. By default that would end the process before the
    # workers can finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
