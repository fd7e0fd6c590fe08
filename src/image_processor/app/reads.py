"""AWS entry point *deliver*: a function URL's request in, a rendition or a redirect out.

It stands behind CloudFront as the failover of the processed bucket, and makes declared
renditions that nobody has made yet.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from image_processor.delivery.deliver import Response, answer
from image_processor.delivery.find import find as find_rendition
from image_processor.errors import ImageProcessorError, InvalidKey, NotFound, PreconditionFailed, Unavailable
from image_processor.http_api.documents import MEDIA_TYPE, document
from image_processor.model import Kind, Upload
from image_processor.ports import ObjectStore, StoredObject
from image_processor.wiring.cloud import Cloud

from . import log

MAX_BODY = 4_400_000
"""Bytes of a rendition that fit into an answer: Lambda's limit is 6 MB, base64 takes a third more
("Lambda quotas", invocation payload), and headers want room."""

_ERROR_SECONDS = 5
"""How long the CDN may keep an error."""

Find = Callable[[str], StoredObject]


def open_deliver(cloud: Cloud) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The function, over what it works with."""

    def make(original: str) -> None:
        # Asking for a picture that never was must cost a look and nothing else.
        cloud.uploads.head(original)
        cloud.process(Upload(cloud.bucket, original, Kind.RECONCILE))

    def find(key: str) -> StoredObject:
        return find_rendition(cloud.processed, key, cloud.recipe, make)

    return lambda event, _: handle(event, find, cloud.processed, cloud.settings.cache_control)


def handle(event: dict[str, Any], find: Find, processed: ObjectStore, cache_control: str) -> dict[str, Any]:
    """Answer one request of payload format 2.0. ``find`` gives the stored rendition of a key."""
    started = time.monotonic()
    reply = _reply(event, find, processed, cache_control)
    _measure(reply, started)
    return reply


def _reply(event: dict[str, Any], find: Find, processed: ObjectStore, cache_control: str) -> dict[str, Any]:
    method = event["requestContext"]["http"]["method"]
    if method not in {"GET", "HEAD"}:
        return _error(405, f"expected GET or HEAD, got {method}", headers={"allow": "GET, HEAD"})
    path = event.get("rawPath", "/")
    try:
        key = unquote_to_bytes(path)[1:].decode()
        stored = find(key)
        decided = answer(method, event.get("headers", {}), stored, cache_control=cache_control)
        return _answer(decided, stored, processed, path)
    except UnicodeDecodeError:
        return _error(400, "expected a path of percent-encoded UTF-8")
    except (InvalidKey, NotFound) as error:
        return _error(404, str(error), error.code)
    except ImageProcessorError as error:
        log.line("WARNING" if error.retryable else "ERROR", error.code, path=path, error=str(error))
        return _unavailable()


def _answer(decided: Response, stored: StoredObject, processed: ObjectStore, path: str) -> dict[str, Any]:
    if decided.status >= 400:
        return _error(decided.status, headers=dict(decided.headers))
    reply = {"statusCode": decided.status, "headers": dict(decided.headers)}
    if decided.body is None:
        return reply
    start, stop = decided.body.start, decided.body.stop
    if stop - start > MAX_BODY:
        # It is stored: asked again, the CDN finds it in the bucket, where there is no limit.
        location = quote(path, safe="/%=,~:@!$&'()*+;")
        return {"statusCode": 307, "headers": {"location": location, "cache-control": "no-store"}}
    try:
        body = b"".join(processed.read(stored.entry.key, start, stop, version=stored.entry.version))
    except PreconditionFailed:  # written anew since we looked: as good a moment as any to ask again
        return _unavailable()
    return {**reply, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _unavailable() -> dict[str, Any]:
    return _error(503, "try again in a moment", Unavailable.code, {"retry-after": "1"})


def _error(
    status: int, detail: str = "", code: str | None = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    about = {"content-type": MEDIA_TYPE, "x-content-type-options": "nosniff"}
    about["cache-control"] = f"max-age={_ERROR_SECONDS}" if status == 404 else "no-store"
    body = json.dumps(document(status, detail, code))
    return {"statusCode": status, "headers": {**about, **(headers or {})}, "body": body}


def _measure(reply: dict[str, Any], started: float) -> None:
    status = reply["statusCode"]
    values = {
        "Requests": 1,
        "NotFound": int(status == 404),
        "ServerErrors": int(status >= 500),
        "DurationMs": round(1000 * (time.monotonic() - started), 1),
    }
    log.metrics("deliver", values)
