"""AWS entry point *deliver*: a function URL's request in, a rendition or a redirect out.

It stands behind CloudFront as the failover of the processed bucket, and makes what is not there:
what the recipe declares, and what a signed URL asks for.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from image_processor.api.error_status import MEDIA_TYPE, delivery_status, error_response, problem_document
from image_processor.bootstrap.aws import AwsContext, render_in_process
from image_processor.bootstrap.delivery import build_read_path
from image_processor.delivery.http.response import ResponseHead
from image_processor.delivery.on_demand import RenderResult
from image_processor.delivery.read_path import Delivery, Lookup, cors_headers, preflight_headers
from image_processor.delivery.resolver import HttpRequest, RenditionRef
from image_processor.domain.errors import (
    ImageProcessorError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    Unavailable,
)

from . import log

MAX_BODY = 4_400_000
"""Bytes of a rendition that fit into an answer: Lambda's limit is 6 MB, base64 takes a third more
("Lambda quotas", invocation payload), and headers want room."""

_METHODS = "GET, HEAD, OPTIONS"

Make = Callable[[RenditionRef], RenderResult]


def open_deliver(cloud: AwsContext) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The function, over what it works with."""
    reads = build_read_path(cloud, render_in_process)
    return lambda event, _: handle(event, reads.delivery, reads.make)


def handle(event: dict[str, Any], delivery: Delivery, make: Make) -> dict[str, Any]:
    """Answer one request of payload format 2.0. ``make`` makes what is not there."""
    started = time.monotonic()
    reply = _reply(event, delivery, make)
    _measure(reply, started)
    return reply


def _reply(event: dict[str, Any], delivery: Delivery, make: Make) -> dict[str, Any]:
    method = event["requestContext"]["http"]["method"]
    if method == "OPTIONS":
        # Whose pages may ask, the CDN's response headers say, unless a setting does.
        return {
            "statusCode": 204,
            "headers": {"allow": _METHODS, **(preflight_headers(delivery.policy.cors) or {})},
        }
    if method not in {"GET", "HEAD"}:
        return _error(405, {"allow": _METHODS}, f"expected GET or HEAD, got {method}")
    path, query = event.get("rawPath", "/"), event.get("rawQueryString", "")
    get = HttpRequest(method, path[1:], query, event.get("headers", {}))
    try:
        return _answer(get, _found(get, delivery, make), delivery)
    except ImageProcessorError as error:
        return _failed(get, error, delivery)


def _found(get: HttpRequest, delivery: Delivery, make: Make) -> Lookup:
    found = delivery.find(get)
    if found.stored is not None:
        return found
    try:
        if found.error is not None:
            raise found.error
        return _made(found.wanted, make)
    except ImageProcessorError as error:
        instead = delivery.fallback_for(found.wanted, error)
        if instead is None:
            raise
        return replace(_shown(instead, error, delivery, make), error=error)


def _shown(instead: RenditionRef, error: ImageProcessorError, delivery: Delivery, make: Make) -> Lookup:
    """The picture that stands in for another. Raises ``error`` where that is not there either."""
    try:
        stored = delivery.kept.look(instead)
        return Lookup(instead, stored) if stored else _made(instead, make)
    except (NotFound, Refused):
        raise error from None


def _made(wanted: RenditionRef, make: Make) -> Lookup:
    made = make(wanted)
    return Lookup(wanted, made.stored, made.seconds)


def _answer(get: HttpRequest, found: Lookup, delivery: Delivery) -> dict[str, Any]:
    stored = found.stored
    assert stored is not None
    decided: ResponseHead = delivery.reply(get, found)
    if decided.status >= 400:
        return _error(decided.status, dict(decided.headers))
    status = delivery_status(found.error) if found.error is not None else decided.status
    reply = {"statusCode": status, "headers": dict(decided.headers)}
    if decided.body is None:
        return reply
    start, stop = decided.body.start, decided.body.stop
    if stop - start > MAX_BODY:
        return _redirect(found.wanted, delivery)
    body = stored.body[start:stop] or _read(found, start, stop, delivery)
    return reply | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _read(found: Lookup, start: int, stop: int, delivery: Delivery) -> bytes:
    assert found.stored is not None
    entry = found.stored.entry
    try:
        return b"".join(delivery.kept.processed.read(entry.key, start, stop, version=entry.version))
    except (
        NotFound,
        PreconditionFailed,
    ):  # another by now: to be asked again
        raise Unavailable("it was written anew") from None


def _redirect(wanted: RenditionRef, delivery: Delivery) -> dict[str, Any]:
    """It is stored: asked for by its own name, the CDN finds it in the bucket, where there is no limit."""
    path = quote(wanted.stored_key, safe="/=,~:@!$&'()*+;")
    try:
        query = delivery.stored_query(wanted)
    except InvalidRequest:
        message = f"expected at most {MAX_BODY} bytes for a rendition with so long a transformation, got more"
        raise Refused(Reason.OUTPUT_TOO_LARGE, message) from None
    location = f"/{path}?{query}" if query else f"/{path}"
    return {"statusCode": 307, "headers": {"location": location, "cache-control": "no-store"}}


def _failed(get: HttpRequest, error: ImageProcessorError, delivery: Delivery) -> dict[str, Any]:
    """The error as our problem document, or as the dialect tells it that was spoken."""
    status, body, headers = error_response(error)
    if status >= 500:
        log.line("WARNING" if error.retryable else "ERROR", error.code, path=get.path, error=str(error))
        body["detail"] = "try again in a moment"
    dialect = delivery.reader.dialect_of(get)
    spoken = dialect.told(status, error.code, body["detail"]) if dialect else None
    media_type, text = spoken or (MEDIA_TYPE, json.dumps(body))
    headers |= cors_headers(delivery.policy.cors)
    return {"statusCode": status, "headers": {**_about(media_type), **headers}, "body": text}


def _error(status: int, headers: dict[str, str], detail: str = "") -> dict[str, Any]:
    body = json.dumps(problem_document(status, detail))
    return {
        "statusCode": status,
        "headers": {**_about(MEDIA_TYPE), "cache-control": "no-store", **headers},
        "body": body,
    }


def _about(media_type: str) -> dict[str, str]:
    return {"content-type": media_type, "x-content-type-options": "nosniff"}


def _measure(reply: dict[str, Any], started: float) -> None:
    status = reply["statusCode"]
    values = {
        "Requests": 1,
        "NotFound": int(status == 404),
        "ServerErrors": int(status >= 500),
        "DurationMs": round(1000 * (time.monotonic() - started), 1),
    }
    log.metrics("deliver", values)
