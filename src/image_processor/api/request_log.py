"""Observes each request that the application answers: an id, one line in the log, and what else follows.

Hits have no application; `hit_cache` and who calls it do the same for them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from image_processor.domain.redaction import printable
from image_processor.standalone.logs import log, request_id

from .connections import HEALTH_PATH
from .request_id import HEADER, request_id_of

_log = logging.getLogger("image_processor.requests")

_PROBLEM = b"application/problem+json"

NO_ROUTE = "none"
"""The route of requests that no route answers."""


class ServedRequest(Struct, frozen=True):
    """One response. ``route`` is the pattern of the route's path, or NO_ROUTE. ``reason`` is the code of an
    error's problem document, or what a file was refused for. ``is_complete``: the client has all of it."""

    id: str
    method: str
    path: str
    route: str
    status: int
    seconds: float
    bytes: int
    client: str
    reason: str | None = None
    is_complete: bool = True


Observe = Callable[[ServedRequest], object]


class RequestObserver:
    """Middleware around everything that answers requests: gives each an id, and then calls ``observers``."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observe]) -> None:
        self._app = app
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(send, request_id_of(_header(scope, HEADER.encode())))
        token = request_id.set(response.id)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, response.send)
        finally:
            served = response.served(scope, time.perf_counter() - started)
            for observe in self._observers:
                observe(served)
            request_id.reset(token)


def log_request(served: ServedRequest) -> None:
    """Write one line for a response. Queries are left out: they may have signatures."""
    shown: dict[str, object] = {"ms": round(1000 * served.seconds, 1), "bytes": served.bytes}
    if served.reason is not None:
        shown["reason"] = served.reason
    if not served.is_complete:
        shown["aborted"] = True
    shown |= {"client": served.client, "request_id": served.id}
    log(
        _log,
        _level(served),
        f"{served.method} {served.path} {served.status}",
        shown,
        method=served.method,
        path=served.path,
        route=served.route,
        status=served.status,
    )


def _level(served: ServedRequest) -> int:
    if served.status >= 500:
        return logging.ERROR if served.status == 500 else logging.WARNING
    return logging.DEBUG if served.path == HEALTH_PATH else logging.INFO


class _Response:
    """What is sent in response to one request."""

    def __init__(self, send: Send, id_: str) -> None:
        self.id = id_
        self._send = send
        self._status = 0
        self._bytes = 0
        self._is_complete = False
        self._is_problem = False
        self._reason: str | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = message.setdefault("headers", [])
            self._is_problem = (b"content-type", _PROBLEM) in headers
            message["headers"] = [(HEADER.encode(), self.id.encode()), *headers]
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            self._bytes += len(body)
            if self._is_problem:
                self._reason = _reason(body)
        await self._send(message)
        if message["type"] == "http.response.body":
            self._is_complete = not message.get("more_body", False)

    def served(self, scope: Scope, seconds: float) -> ServedRequest:
        route: Any = scope.get("route")
        client = scope.get("client")
        return ServedRequest(
            self.id,
            scope["method"],
            printable(scope["raw_path"].decode("latin-1")),
            getattr(route, "path", NO_ROUTE),
            self._status,
            seconds,
            self._bytes,
            client[0] if client else "",
            self._reason,
            self._is_complete,
        )


class _Problem(Struct, frozen=True):
    code: str | None = None
    reason: str | None = None


def _reason(body: bytes) -> str | None:
    """The reason in a problem document, which is sent in one piece, else its code."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        return None
    return problem.reason or problem.code


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for found, value in scope["headers"] if found == name), None)
