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

from image_processor.api.error_status import MEDIA_TYPE, delivery_status, error_response, problem_document
from image_processor.bootstrap.aws import AwsContext, render_in_process
from image_processor.bootstrap.delivery import build_read_path
from image_processor.delivery.http.headers import cors_headers, preflight_headers
from image_processor.delivery.read_path import Delivery, Lookup, Render
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RenditionRef
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


def open_deliver(cloud: AwsContext) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The function, over what it works with."""
    reads = build_read_path(cloud, render_in_process)
    return lambda event, _: handle(event, reads.delivery, reads.make)


def handle(event: dict[str, Any], delivery: Delivery, render: Render) -> dict[str, Any]:
    """Answer one request of payload format 2.0. ``render`` renders what is not stored."""
    started = time.monotonic()
    reply = _reply(event, delivery, render)
    _measure(reply, started)
    return reply


def _reply(event: dict[str, Any], delivery: Delivery, render: Render) -> dict[str, Any]:
    method = event["requestContext"]["http"]["method"]
    if method == "OPTIONS":
        # Whose pages may ask, the CDN's response headers say, unless a setting does.
        return {
            "statusCode": 204,
            "headers": {"allow": _METHODS, **(preflight_headers(delivery.policy.cors_origin) or {})},
        }
    if method not in {"GET", "HEAD"}:
        return _error(405, {"allow": _METHODS}, f"expected GET or HEAD, got {method}")
    path, query = event.get("rawPath", "/"), event.get("rawQueryString", "")
    get = HttpRequest(method, path[1:], query, event.get("headers", {}))
    try:
        return _answer(get, delivery.serve(get, render), delivery)
    except ImageProcessorError as error:
        return _failed(get, error, delivery)


def _answer(get: HttpRequest, found: Lookup, delivery: Delivery) -> dict[str, Any]:
    stored = found.stored
    assert stored is not None
    decided = delivery.http_response(get, found)
    if decided.status >= 400:
        return _error(decided.status, dict(decided.headers))
    status = delivery_status(found.error) if found.error is not None else decided.status
    reply = {"statusCode": status, "headers": dict(decided.headers)}
    if decided.byte_range is None:
        return reply
    start, stop = decided.byte_range.start, decided.byte_range.stop
    if stop - start > MAX_BODY:
        return _redirect(found.ref, delivery)
    body = stored.body[start:stop] or _read(found, start, stop, delivery)
    return reply | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _read(found: Lookup, start: int, stop: int, delivery: Delivery) -> bytes:
    assert found.stored is not None
    entry = found.stored.entry
    try:
        return b"".join(delivery.repository.processed.read(entry.key, start, stop, version=entry.version))
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
    dialect = delivery.resolver.dialect_of(get)
    spoken = dialect.error_body(status, error.code, body["detail"]) if dialect else None
    media_type, text = spoken or (MEDIA_TYPE, json.dumps(body))
    headers |= cors_headers(delivery.policy.cors_origin)
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
