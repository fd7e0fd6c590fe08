"""Delivery, step 4: decides status, headers and byte range of the response for a stored object.

Pure, and independent of any framework: the API and the Lambda function send what `build_response` says.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from msgspec import Struct

from image_processor.domain.ports import StoredObject

from .conditions import (
    ByteRange,
    PreconditionResult,
    Validators,
    evaluate_preconditions,
    http_date,
    requested_range,
)

_TAG_TEXT = re.compile(r"[\x21\x23-\x7e]+")
_ERROR_HEADERS = {"cache-control": "no-store"}
_NOT_MODIFIED_HEADERS = ("etag", "last-modified", "cache-control")


class ResponseHead(Struct, frozen=True):
    """A response without its bytes: status 200, 206, 304, 412 or 416, and headers with lower-case names.

    ``byte_range`` is the part of the object to send; None if no body is sent.
    """

    status: int
    headers: Mapping[str, str]
    byte_range: ByteRange | None = None


def build_response(
    method: str, headers: Mapping[str, str], stored: StoredObject, *, cache_control: str
) -> ResponseHead:
    """The response to a GET or HEAD for ``stored``, with conditions and ranges of RFC 9110.

    ``headers`` are the request's, with lower-case names. ``cache_control`` applies to an object without
    a Cache-Control of its own. The bytes of ``stored`` are not needed.
    """
    current = Validators(entity_tag(stored), stored.entry.modified)
    result = evaluate_preconditions(headers, current)
    if result is PreconditionResult.FAILED:
        return ResponseHead(412, _ERROR_HEADERS)
    sent = _object_headers(stored, current, cache_control)
    if result is PreconditionResult.NOT_MODIFIED:
        return ResponseHead(304, {name: sent[name] for name in _NOT_MODIFIED_HEADERS})
    size = stored.entry.size
    if method == "HEAD":
        return ResponseHead(200, {**sent, "content-length": str(size)})
    part = requested_range(headers, size, current)
    if part is None:
        return ResponseHead(200, {**sent, "content-length": str(size)}, ByteRange(0, size))
    if part.start >= part.stop:
        return ResponseHead(416, {**_ERROR_HEADERS, "content-range": f"bytes */{size}"})
    sent["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    sent["content-length"] = str(part.stop - part.start)
    return ResponseHead(206, sent, part)


def entity_tag(stored: StoredObject) -> str:
    """The strong entity tag without quotes: the SHA-256 of the bytes if it is known, else the object's
    version, which also changes with the bytes."""
    tag = stored.attributes.metadata.get("sha256") or stored.entry.version
    return tag if _TAG_TEXT.fullmatch(tag) else hashlib.sha256(tag.encode()).hexdigest()


def _object_headers(stored: StoredObject, current: Validators, cache_control: str) -> dict[str, str]:
    return {
        "content-type": stored.attributes.media_type,
        "etag": f'"{current.tag}"',
        "last-modified": http_date(current.modified),
        "cache-control": stored.attributes.cache_control or cache_control,
        "accept-ranges": "bytes",
        "content-disposition": "inline",
        # A stored object is shown with its declared type and cannot run scripts on our origin.
        # Browsers use inline styles in the page that they build around an image opened by itself.
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
