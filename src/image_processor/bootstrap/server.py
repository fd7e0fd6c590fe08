"""Composes the server of one machine: the running parts, the application and the HTTP server."""

from __future__ import annotations

import socket

from image_processor.api.server import Server
from image_processor.api.standalone_app import standalone_app

from .standalone import Parts


def serve(parts: Parts, listener: socket.socket) -> None:
    """Answer requests on ``listener`` until SIGINT or SIGTERM."""
    Server(standalone_app(parts), parts.settings).run(sockets=[listener])
