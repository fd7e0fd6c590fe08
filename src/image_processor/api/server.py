"""The HTTP server of one machine: uvicorn with limits on connections, and a graceful stop."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from image_processor.config.settings import Settings
from image_processor.domain.errors import Overloaded

from .access_guard import client_address, is_stranger
from .connections import MAX_CONNECTIONS, ConnectionLimiter
from .hit_log import build_hit_log
from .hit_servers import HitServers
from .problems import of_error
from .protocol import HttpProtocol, protocol_class
from .request_log import RequestObserver, log_request
from .sessions import network_of
from .work import STOP_RENDER_SECONDS, QueuedWork

GRACE_SECONDS = int(STOP_RENDER_SECONDS) + 2
"""How long requests in progress (uploads, downloads) may continue after a stop was requested. uvicorn answers
500 to those that wait longer."""


class Server(uvicorn.Server):
    """Serves the application of `standalone_app`.

    uvicorn waits for open responses before it stops the application, but an event stream never ends by
    itself: `shutdown` ends those first.
    """

    def __init__(self, app: FastAPI, settings: Settings, hit_servers: HitServers | None = None) -> None:
        self._work: QueuedWork = app.state.work
        self._hit_servers = hit_servers
        self._hit_log = build_hit_log(settings.hit_log_format)
        limiter = ConnectionLimiter(
            app,
            lambda message: of_error(Overloaded(message)),
            streams=settings.event_streams,
            streams_per_client=settings.event_streams_per_client,
            is_stranger=is_stranger,
            client_of=lambda scope: network_of(client_address(scope)),
        )
        super().__init__(
            uvicorn.Config(
                RequestObserver(limiter, (log_request, app.state.context.metrics.count_request)),
                host=settings.host,
                port=settings.port,
                http=protocol_class(limiter, app.state.hits, app.state.hit_statistics, self._hit_log),
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._hit_servers is None or not sockets:
            await super().startup(sockets)
            return
        await super().startup([])  # uvicorn would accept all connections that wait
        self._hit_servers.start(sockets[0], self._make_protocol)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._hit_servers is not None:
            await self._hit_servers.drain()
        self._work.stop()
        await super().shutdown(sockets)
        if self._hit_servers is not None:
            await self._hit_servers.stop(GRACE_SECONDS)
        if self._hit_log is not None:
            self._hit_log.flush()

    def _make_protocol(self) -> HttpProtocol:
        protocol: HttpProtocol = self.config.http_protocol_class(  # type: ignore[call-arg, assignment]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol
