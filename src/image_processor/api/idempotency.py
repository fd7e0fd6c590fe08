"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a client that got no response sends its POST
again, and gets the response to the first one instead of the same work twice.

A key belongs to the caller's token. The response is stored when it is complete, before its last byte is sent.
Nothing is stored before: a request that a killed server did not finish is run again, which is safe because
each of these routes has the same effect when it is run twice.

Small bodies are read before the work begins. Of a form with a file a digest is computed while it is stored.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import MutableMapping
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from image_processor.domain.errors import ImageProcessorError, Invalid, Unavailable
from image_processor.standalone.stored_responses import StoredResponse, StoredResponses

from .access_guard import caller_of, client_of
from .form_digest import FormDigest
from .forms import is_form
from .middleware import replay_body
from .multipart import MAX_FIELD_BYTES, MAX_OUTSIDE_BYTES
from .openapi import extend
from .problems import of_error, of_status, problem
from .uploads import TOO_SLOW, UploadBody

HEADER = "idempotency-key"
REPLAYED = "idempotent-replayed"
"""The header of a response that was stored."""

PATHS = (
    "/images",
    "/images/{id}/reprocess",
    "/images/{id}/renditions",
    "/samples",
    "/uploads/from-url",
    "/recipe",
)
"""The POST routes that start work or create something, and whose bodies are small."""

FORM_PATH = "/uploads"
"""The POST route that stores the file of a form. Its JSON bodies ask for a signed form, which is not stored:
one that is asked for again has to be valid for its whole time."""

MAX_BODY_BYTES = 1_000_000
"""A longer response is not stored."""

_NOT_RUN = frozenset({401, 403, 408, 409, 429})
"""Statuses of requests that were not run: the next one is."""

_KEY = re.compile(r'"[!#-\[\]-~ ]{1,255}"|[!#-~]{1,255}')
_log = logging.getLogger(__name__)


class IdempotencyMiddleware:
    """Around the routes, behind the check of access."""

    def __init__(self, app: ASGIApp, responses: StoredResponses, max_bytes: int) -> None:
        self._app = app
        self._responses = responses
        self._max_form_bytes = max_bytes + MAX_FIELD_BYTES + MAX_OUTSIDE_BYTES
        self._running: set[str] = set()
        self._patterns = [compile_path(path)[0] for path in PATHS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" else None
        if key is None or not self._covers(scope):
            await self._app(scope, receive, send)
            return
        if not _KEY.fullmatch(key):
            error = Invalid.one(
                "Idempotency-Key", "1-255 printable ASCII characters, or these in quotes", key
            )
            await of_error(error)(scope, receive, send)
            return
        name = _name(scope, key)
        if name in self._running:
            detail = "expected one request at a time with an Idempotency-Key, got another one in progress"
            response = problem(409, "idempotency-key-in-use", detail, {"retry-after": "1"})
            await response(scope, receive, send)
            return
        self._running.add(name)
        try:
            await self._run(name, scope, receive, send)
        finally:
            self._running.discard(name)

    def _covers(self, scope: Scope) -> bool:
        if scope["method"] != "POST":
            return False
        return _has_form(scope) or any(pattern.match(scope["path"]) for pattern in self._patterns)

    async def _run(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = (
            _FormBody(scope, receive, self._max_form_bytes)
            if _has_form(scope)
            else await _SmallBody.read(scope, receive)
        )
        try:
            stored = await run_in_threadpool(self._responses.find, name)
        except Unavailable as error:
            await of_error(error)(scope, receive, send)
            return
        if stored is None:
            recorder = _Recorder(send, _last_stored(scope))
            await self._app(scope, body.receive, recorder.send)
            await self._store(name, recorder.response(body.fingerprint()), client_of(scope))
            self._running.discard(name)
            await recorder.finish()
            return
        try:
            await body.drain()
        except TimeoutError:
            await of_status(408, TOO_SLOW)(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await self._answer(stored, body.fingerprint(), scope, receive, send)

    async def _answer(
        self, stored: StoredResponse, fingerprint: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if stored.fingerprint != fingerprint:
            detail = "expected the request that this Idempotency-Key was first sent with, got another one"
            response = problem(422, "idempotency-key-reused", detail, fix="Use a new key for a new request.")
            await response(scope, receive, send)
        else:
            await _replay(stored, send)

    async def _store(self, name: str, response: StoredResponse | None, client: str) -> None:
        if response is None:
            return
        try:
            await run_in_threadpool(self._responses.put, name, response, client)
        except ImageProcessorError as error:
            _log.warning("a response is not stored, so the same request would be run again: %s", error)


class _Recorder:
    """Passes a response on and remembers it. The last part is held back until `finish`: when a client has the
    whole response, it is stored unless its status is above ``last_status``."""

    def __init__(self, send: Send, last_status: int) -> None:
        self._send = send
        self._last_status = last_status
        self._start: MutableMapping[str, Any] = {}
        self._body = b""
        self._last: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # As the routes made it: what middleware adds is of this request, such as its id.
            self._start = {**message, "headers": tuple(message.get("headers", ()))}
        else:
            if len(self._body) <= MAX_BODY_BYTES:
                self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._last = message
                return
        await self._send(message)

    async def finish(self) -> None:
        if self._last is not None:
            await self._send(self._last)

    def response(self, fingerprint: str | None) -> StoredResponse | None:
        """None for one that is not to be stored, as of a request that was not read to its end."""
        status = self._start.get("status", 500)
        is_final = status <= self._last_status and status not in _NOT_RUN
        if fingerprint is None or not (
            is_final and self._last is not None and len(self._body) <= MAX_BODY_BYTES
        ):
            return None
        headers = tuple((bytes(name), bytes(value)) for name, value in self._start["headers"])
        return StoredResponse(fingerprint, status, headers, self._body)


def _last_stored(scope: Scope) -> int:
    """The highest status that is stored for the caller. Of strangers only successes are stored, which need a
    signed form: otherwise anybody could send requests whose responses push out those that others rely on."""
    return 299 if caller_of(HTTPConnection(scope)).scope is None else 499


def _name(scope: Scope, key: str) -> str:
    """What identifies a key of one caller. A token's digest is hashed, so the file reveals no key."""
    token = caller_of(HTTPConnection(scope)).token
    owner = token.digest if token else ""
    return hashlib.sha256(f"{owner}\n{key.strip(chr(34))}".encode()).hexdigest()


class _SmallBody:
    """A body that is read before the application is called, because not every route reads its body.
    ``receive`` is for the application; the fingerprint is a digest of the request."""

    def __init__(self, scope: Scope, body: bytes, receive: Receive) -> None:
        self.receive = replay_body(body, receive)
        self._fingerprint = _fingerprint(scope, body)

    @classmethod
    async def read(cls, scope: Scope, receive: Receive) -> _SmallBody:
        return cls(scope, await Request(scope, receive).body(), receive)

    async def drain(self) -> None:
        """It is read already."""

    def fingerprint(self) -> str:
        return self._fingerprint


class _FormBody:
    """A body that the application reads chunk by chunk. It is drained no further than ``limit`` bytes, which
    no stored request had."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._digest = FormDigest(Headers(scope=scope)["content-type"])

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._digest.add(message.get("body", b""))
        return message

    async def drain(self) -> None:
        """Read the body without the application. Raises TimeoutError, ClientDisconnect."""
        body, count = UploadBody(Request(self._scope, self.receive).stream()), 0
        while (chunk := await body.next()) and count <= self._limit:
            count += len(chunk)

    def fingerprint(self) -> str | None:
        """None if the form was not read to its end."""
        digest = self._digest.digest()
        return None if digest is None else _fingerprint(self._scope, digest)


def _has_form(scope: Scope) -> bool:
    """Whether a POST brings a file in a form."""
    return scope["path"] == FORM_PATH and is_form(Headers(scope=scope).get("content-type", ""))


def _fingerprint(scope: Scope, body: bytes) -> str:
    # The path as it was sent has no line feed. Of the routes it is the decoded one, so that what earlier
    # versions have stored stays valid.
    digest = hashlib.sha256(scope["method"].encode() + b" " + scope["raw_path"] + b"\n")
    digest.update(scope["query_string"] + b"\n" + body)
    return digest.hexdigest()


async def _replay(stored: StoredResponse, send: Send) -> None:
    headers = [*stored.headers, (REPLAYED.encode(), b"true")]
    await send({"type": "http.response.start", "status": stored.status, "headers": headers})
    await send({"type": "http.response.body", "body": stored.body})


def describe(app: FastAPI) -> None:
    """Add the header to the description of ``app``, and what follows from it."""

    def add(schema: dict[str, Any]) -> None:
        for path in (*PATHS, FORM_PATH):
            operation = schema["paths"][path]["post"]
            operation.setdefault("parameters", []).append(_PARAMETER)
            for status, text in _ERRORS.items():
                operation["responses"].setdefault(str(status), {"description": text, "content": _PROBLEM})

    extend(app, add)


_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that is sent again with the same key within 24 hours gets the first response, "
    "with `Idempotent-Replayed: true`, and starts nothing.",
    "schema": {"type": "string", "maxLength": 257, "examples": ['"8e03978e-40d5-43dd-bc93-6894a57f9324"']},
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemModel"}}}
_ERRORS = {
    400: "The request is invalid; `problems` names every error in it.",
    409: "A request with this Idempotency-Key is in progress; try again.",
    422: "This Idempotency-Key was sent with another request.",
    503: "Not possible right now; try again.",
}
