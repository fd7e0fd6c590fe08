"""The HTTP server of one machine: uvicorn with limits on connections, and a graceful stop."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from image_processor.config.settings import Settings

from .connections import MAX_CONNECTIONS, ConnectionLimiter
from .protocol import protocol_class
from .work import STOP_RENDER_SECONDS, QueuedWork

GRACE_SECONDS = int(STOP_RENDER_SECONDS) + 2
"""How long requests in progress (uploads, downloads) may continue after a stop was requested. uvicorn answers
500 to those that wait longer."""


class Server(uvicorn.Server):
    """Serves the application of `standalone_app`.

    uvicorn waits for open responses before it stops the application, but an event stream ends only when
    it is told to: `shutdown` ends those first.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._work: QueuedWork = app.state.work
        limiter = ConnectionLimiter(
            app, streams=settings.event_streams, streams_per_client=settings.event_streams_per_client
        )
        super().__init__(
            uvicorn.Config(
                limiter,
                host=settings.host,
                port=settings.port,
                http=protocol_class(limiter, app.state.hits),
                # asyncio accepts as many connections at once, before one can be closed.
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
