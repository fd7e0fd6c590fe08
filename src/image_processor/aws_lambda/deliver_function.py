"""The Lambda function `deliver`: a request of its function URL in, a rendition or a redirect out.

It is CloudFront's failover origin behind the processed bucket. It renders what is not stored: what the
recipe declares, and what a signed URL asks for.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from image_processor.api.error_status import (
    MEDIA_TYPE,
    PERMANENT_CACHE,
    delivery_status,
    error_response,
    problem_document,
    title_of,
)
from image_processor.bootstrap.aws import AwsContext
from image_processor.bootstrap.delivery import build_read_path
from image_processor.delivery.http.headers import cors_headers, preflight_headers
from image_processor.delivery.read_path import Delivery, Lookup, Render
from image_processor.delivery.request import HttpRequest
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import (
    BucketNotAllowed,
    Forbidden,
    ImageProcessorError,
    Invalid,
    InvalidRequest,
    MissingExtra,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    SignatureMissing,
    SizeNotAllowed,
    Unavailable,
)

from . import log

MAX_BODY = 4_400_000
"""The most bytes of a rendition in a response. Lambda's limit is 6 MB with base64, which adds a third, and
headers ("Lambda quotas", invocation payload)."""

_CACHEABLE_STATUS = 415
"""Of refused originals: CloudFront caches it if Cache-Control says so, and never 413 or 422 ("How CloudFront
processes HTTP 4xx and 5xx status codes from your origin")."""

_PERMANENT = (Invalid, MissingExtra, SignatureMissing, SizeNotAllowed, BucketNotAllowed)
"""What is wrong with the URL, until settings or recipe change."""

_METHODS = "GET, HEAD, OPTIONS"

Response = dict[str, Any]


def open_deliver(context: AwsContext) -> Callable[[dict[str, Any], Any], Response]:
    """The handler, over what the function works with."""
    read_path = build_read_path(context, context.render)
    missing_seconds = context.settings.missing_seconds
    return lambda event, _: handle(event, read_path.delivery, read_path.make, missing_seconds)


def handle(event: dict[str, Any], delivery: Delivery, render: Render, missing_seconds: int = 60) -> Response:
    """Answer one request of payload format 2.0. ``render`` renders what is not stored. ``missing_seconds``:
    how long the CDN caches that an original is missing or refused."""
    started = time.monotonic()
    response = _respond(event, delivery, render, missing_seconds)
    _log_metrics(response["statusCode"], started)
    return response


def _respond(event: dict[str, Any], delivery: Delivery, render: Render, missing_seconds: int) -> Response:
    method = event["requestContext"]["http"]["method"]
    if method == "OPTIONS":
        # Without the setting CORS_ORIGIN the CDN's own response headers apply.
        cors = preflight_headers(delivery.policy.cors_origin) or {}
        return {"statusCode": 204, "headers": {"allow": _METHODS, **cors}}
    if method not in {"GET", "HEAD"}:
        return _error_response(405, {"allow": _METHODS}, f"expected GET or HEAD, got {method}")
    path, query = event.get("rawPath", "/"), event.get("rawQueryString", "")
    request = HttpRequest(method, path[1:], query, event.get("headers", {}))
    try:
        return _rendition_response(request, delivery.serve(request, render), delivery, missing_seconds)
    except ImageProcessorError as error:
        return _failure_response(request, error, delivery, missing_seconds)


def _rendition_response(
    request: HttpRequest, lookup: Lookup, delivery: Delivery, missing_seconds: int
) -> Response:
    stored = lookup.stored
    assert stored is not None
    head = delivery.http_response(request, lookup)
    if head.status >= 400:
        return _error_response(head.status, dict(head.headers))
    status, headers = head.status, dict(head.headers)
    if lookup.error is not None:
        status = _status(lookup.error)
        headers["cache-control"] = f"max-age={missing_seconds}"
    response = {"statusCode": status, "headers": headers}
    if head.byte_range is None:
        return response
    start, stop = head.byte_range.start, head.byte_range.stop
    if stop - start > MAX_BODY:
        return _redirect(lookup.ref, delivery)
    body = stored.body[start:stop] or _read(lookup, start, stop, delivery)
    return response | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _read(lookup: Lookup, start: int, stop: int, delivery: Delivery) -> bytes:
    """Bytes of a stored rendition. Raises Unavailable if it was replaced meanwhile."""
    assert lookup.stored is not None
    entry = lookup.stored.entry
    try:
        return b"".join(delivery.repository.processed.read(entry.key, start, stop, version=entry.version))
    except (NotFound, PreconditionFailed):
        raise Unavailable("the rendition was replaced during the request") from None


def _redirect(rendition: RenditionRef, delivery: Delivery) -> Response:
    """Redirect to the stored rendition's own URL, which the CDN serves from the bucket, at any size."""
    path = quote(rendition.stored_key, safe="/=,~:@!$&'()*+;")
    try:
        query = delivery.stored_query(rendition)
    except InvalidRequest:
        message = f"expected at most {MAX_BODY} bytes for a rendition with so long a transformation, got more"
        raise Refused(Reason.OUTPUT_TOO_LARGE, message) from None
    location = f"/{path}?{query}" if query else f"/{path}"
    return {"statusCode": 307, "headers": {"location": location, "cache-control": "no-store"}}


def _status(error: ImageProcessorError) -> int:
    return _CACHEABLE_STATUS if isinstance(error, Refused) else delivery_status(error)


def _cache_control(
    error: ImageProcessorError, request: HttpRequest, missing_seconds: int, *, of_dialect: bool
) -> str:
    """How long the CDN may cache an error."""
    if isinstance(error, NotFound | Refused):
        return f"max-age={missing_seconds}"
    if of_dialect and isinstance(error, Forbidden):
        return PERMANENT_CACHE
    # The signature of the project's own URLs, in the query, is not part of the cache key: a URL with a valid
    # one would get the error of another.
    if isinstance(error, SignatureMissing) and request.query:
        return "no-store"
    return PERMANENT_CACHE if isinstance(error, _PERMANENT) else "no-store"


def _failure_response(
    request: HttpRequest, error: ImageProcessorError, delivery: Delivery, missing_seconds: int
) -> Response:
    """The error as a problem document, or as the URL's dialect writes errors."""
    _, body, headers = error_response(error)
    status = _status(error)
    body |= {"status": status, "title": title_of(status)}
    if status >= 500:
        log.line("WARNING" if error.retryable else "ERROR", error.code, path=request.path, error=str(error))
        body["detail"] = "try again in a moment"
    dialect = delivery.resolver.dialect_of(request)
    headers["cache-control"] = _cache_control(error, request, missing_seconds, of_dialect=dialect is not None)
    written = dialect.error_body(status, error.code, body["detail"]) if dialect else None
    media_type, text = written or (MEDIA_TYPE, json.dumps(body))
    headers |= cors_headers(delivery.policy.cors_origin)
    return {"statusCode": status, "headers": {**_content_headers(media_type), **headers}, "body": text}


def _error_response(status: int, headers: dict[str, str], detail: str = "") -> Response:
    return {
        "statusCode": status,
        "headers": {**_content_headers(MEDIA_TYPE), "cache-control": "no-store", **headers},
        "body": json.dumps(problem_document(status, detail)),
    }


def _content_headers(media_type: str) -> dict[str, str]:
    return {"content-type": media_type, "x-content-type-options": "nosniff"}


def _log_metrics(status: int, started: float) -> None:
    values = {
        "Requests": 1,
        "NotFound": int(status == 404),
        "ServerErrors": int(status >= 500),
        "DurationMs": round(1000 * (time.monotonic() - started), 1),
    }
    log.metrics("deliver", values)
