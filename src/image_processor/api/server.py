"""The HTTP server of one machine: uvicorn, and a graceful stop that ends event streams first."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from image_processor.config.settings import Settings

from .connections import MAX_CONNECTIONS, Connection
from .queued_work import QueuedWork

GRACE_SECONDS = 10
"""How long requests in progress (uploads, downloads) may go on after a stop was asked for."""


class Server(uvicorn.Server):
    """Serves the application of `standalone_app`.

    uvicorn waits for open responses before it tells the application to stop, but a stream of
    events only ends when told to: so it is told first.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._work: QueuedWork = app.state.work
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=Connection,
                # asyncio accepts as many at once, before we can close one.
                backlog=MAX_CONNECTIONS // 4,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._work.stop()
        await super().shutdown(sockets)
