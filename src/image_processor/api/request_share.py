"""ASGI middleware that shares requests in progress among clients, so that none keeps the others out.

Requests wait for an outcome, for the client's own body, or until their response is read. A client may have as
many in progress as there is room left for others. Renditions and the page are public, and are not counted:
many people may come from the address of one proxy. What a request queues is of its client.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from image_processor.domain.errors import Overloaded
from image_processor.standalone.fair_queue import acting_for

from .access_guard import client_of, is_public
from .connections import HEALTH_PATH
from .fair_slots import FairSlots
from .problems import of_error


class RequestShare:
    """Room for ``count`` requests. It stands behind AccessGuard, which knows the callers."""

    def __init__(self, app: ASGIApp, count: int) -> None:
        self._app = app
        self._slots = FairSlots("requests", count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH_PATH or is_public(scope):
            await self._app(scope, receive, send)
            return
        client = client_of(scope)
        try:
            await self._slots.acquire(client)
        except Overloaded as error:
            await of_error(error)(scope, receive, send)
            return
        try:
            with acting_for(client):
                await self._app(scope, receive, send)
        finally:
            self._slots.release(client)
