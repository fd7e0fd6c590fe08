"""ASGI middleware that shares requests in progress among clients, so that none keeps the others out.

Requests wait for an outcome, for the client's own body, or until their response is read. A client may have as
many in progress as there is room left for others. Renditions and the page are public, and are not counted:
many people may come from the address of one proxy. What a request queues is of its client.

Some requests need more than room: those that only read take one of the server's threads, and exports read the
whole library. They wait for their turn here, where waiting takes no thread.
"""

from __future__ import annotations

from contextlib import ExitStack

from starlette.types import ASGIApp, Receive, Scope, Send

from image_processor.domain.errors import Overloaded
from image_processor.standalone.fair_queue import acting_for

from .access_guard import client_of, is_public
from .connections import EVENTS_PATH, HEALTH_PATH
from .fair_slots import FairSlots
from .middleware import SAFE_METHODS, is_streamed
from .problems import of_error
from .resumable_path import is_resumable

MAX_READS = 40
"""Requests that only read. As many threads are there for all routes (anyio's default)."""

MAX_EXPORTS = 32
"""Exports and archives, which last as long as their clients read them."""

READ_SECONDS, EXPORT_SECONDS = 30.0, 5.0
"""How long a request waits for its turn."""

_EXPORTS = frozenset({"/images.ndjson", "/archives"})
_CHECKS = frozenset({"/recipe/check"})
"""What is no GET, and only reads."""


class RequestShare:
    """Room for ``count`` requests. It stands behind AccessGuard, which knows the callers."""

    def __init__(self, app: ASGIApp, count: int) -> None:
        self._app = app
        self._requests = FairSlots("requests", count)
        self._reads = FairSlots("requests that read", MAX_READS)
        self._exports = FairSlots("exports", MAX_EXPORTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == HEALTH_PATH or is_public(scope):
            await self._app(scope, receive, send)
            return
        client = client_of(scope)
        with ExitStack() as held:
            try:
                for slots, seconds in self._needed(scope):
                    await slots.acquire(client, seconds)
                    held.callback(slots.release, client)
            except Overloaded as error:
                await of_error(error, is_tus=is_resumable(scope["path"]))(scope, receive, send)
                return
            with acting_for(client):
                await self._app(scope, receive, send)

    def _needed(self, scope: Scope) -> list[tuple[FairSlots, float]]:
        """The slots that a request needs, and how long it waits for each."""
        if scope["path"] in _EXPORTS:
            return [(self._requests, 0.0), (self._exports, EXPORT_SECONDS)]
        if _only_reads(scope):
            return [(self._requests, 0.0), (self._reads, READ_SECONDS)]
        return [(self._requests, 0.0)]


def _only_reads(scope: Scope) -> bool:
    """Whether the response follows from what is stored, and does not last as long as its client reads it."""
    path = scope["path"]
    if path == EVENTS_PATH or path.endswith("/original") or is_resumable(path) or is_streamed(scope):
        return False
    return scope["method"] in SAFE_METHODS or path in _CHECKS
