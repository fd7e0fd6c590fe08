"""Delivery: a stored object and a request's headers become the decision how to answer.

`answer` is pure and knows no framework: the HTTP edge sends what it says, a Lambda can too.
Bytes are not touched here; the decision names the window of the object to send.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from msgspec import Struct

from image_processor.domain.ports import StoredObject

from .conditions import ByteRange, PreconditionResult, Validators, http_date, judge, window

_TAG_TEXT = re.compile(r"[\x21\x23-\x7e]+")


class ResponseHead(Struct, frozen=True):
    """How to answer: 200, 206, 304, 412 or 416, and the headers, with lower-case names.

    ``body`` is the part of the object to send; None means that no bytes of it are sent.
    """

    status: int
    headers: Mapping[str, str]
    body: ByteRange | None = None


def answer(
    method: str, headers: Mapping[str, str], stored: StoredObject, *, cache_control: str
) -> ResponseHead:
    """The answer to a GET or HEAD for ``stored``, whose bytes are not needed.

    ``headers`` are the request's, with lower-case names. ``cache_control`` is used where the
    object brings none of its own. Conditions as RFC 9110, 13; ranges as its chapter 14.
    """
    current = Validators(entity_tag(stored), stored.entry.modified)
    verdict = judge(headers, current)
    if verdict is PreconditionResult.FAILED:
        return ResponseHead(412, _ERROR_HEADERS)
    about = _headers(stored, current, cache_control)
    if verdict is PreconditionResult.NOT_MODIFIED:
        return ResponseHead(304, {name: about[name] for name in _NOT_MODIFIED_HEADERS})
    size = stored.entry.size
    if method == "HEAD":
        return ResponseHead(200, {**about, "content-length": str(size)})
    part = window(headers, size, current)
    if part is None:
        return ResponseHead(200, {**about, "content-length": str(size)}, ByteRange(0, size))
    if part.start >= part.stop:
        return ResponseHead(416, {**_ERROR_HEADERS, "content-range": f"bytes */{size}"})
    about["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    about["content-length"] = str(part.stop - part.start)
    return ResponseHead(206, about, part)


_ERROR_HEADERS = {"cache-control": "no-store"}
_NOT_MODIFIED_HEADERS = ("etag", "last-modified", "cache-control")


def entity_tag(stored: StoredObject) -> str:
    """What the strong ETag holds between its quotes: the bytes' SHA-256 where it is known, else
    the version, which changes with the bytes too."""
    tag = stored.attributes.metadata.get("sha256") or stored.entry.version
    return tag if _TAG_TEXT.fullmatch(tag) else hashlib.sha256(tag.encode()).hexdigest()


def _headers(stored: StoredObject, current: Validators, cache_control: str) -> dict[str, str]:
    return {
        "content-type": stored.attributes.media_type,
        "etag": f'"{current.tag}"',
        "last-modified": http_date(current.modified),
        "cache-control": stored.attributes.cache_control or cache_control,
        "accept-ranges": "bytes",
        "content-disposition": "inline",
        # A stored object is shown as what it is said to be, and can never act in our origin.
        # Styles are what browsers themselves put around a picture that is opened alone.
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
