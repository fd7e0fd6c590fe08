"""The tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload): its headers, and middleware that every
one of its responses passes. `resumable_uploads` has the routes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from image_processor.domain.errors import Invalid
from image_processor.standalone.resumable_uploads import CHECKSUMS, Checksum

from .middleware import send_with
from .resumable_path import is_resumable

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
BODY_TYPE = "application/offset+octet-stream"

REQUEST_HEADERS = ("tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-checksum")
RESPONSE_HEADERS = (
    *("tus-resumable", "tus-version", "tus-extension", "tus-max-size", "tus-checksum-algorithm"),
    *("upload-offset", "upload-length", "upload-metadata", "upload-expires", "content-location"),
)
"""What pages of other sites may send and read."""

_NUMBER = re.compile(r"[0-9]{1,15}")
_METADATA_NAME = re.compile(r"[!-+\--~]+")
_OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})


class TusMiddleware:
    """Adds the version to responses below RESUMABLE_PATH, refusals too, and reads X-HTTP-Method-Override:
    some clients cannot send PATCH."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_resumable(scope["path"]):
            await self._app(scope, receive, send)
            return
        method = Headers(scope=scope).get("x-http-method-override", "")
        if scope["method"] == "POST" and method in _OVERRIDES:
            scope = {**scope, "method": method}
        await self._app(scope, receive, send_with(send, {"tus-resumable": VERSION}))


def parse_number(name: str, text: str | None) -> int:
    """The value of a header that counts bytes. Raises Invalid."""
    if text is None or not _NUMBER.fullmatch(text):
        raise Invalid.one(name, "a number of bytes", "nothing" if text is None else text)
    return int(text)


def parse_metadata(text: str) -> dict[str, str]:
    """Upload-Metadata: names with values in base64, separated by commas. Raises Invalid."""
    fields: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, _, value = pair.partition(" ")
        if name in fields:
            raise Invalid.one("Upload-Metadata", "each name once", name)
        try:
            fields[name] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            expected = "names, each with a space and UTF-8 in base64, separated by commas"
            raise Invalid.one("Upload-Metadata", expected, text) from None
        if not _METADATA_NAME.fullmatch(name):
            raise Invalid.one("Upload-Metadata", "names of ASCII without spaces and commas", name)
    return fields


def parse_checksum(text: str | None) -> Checksum | None:
    """Upload-Checksum: an algorithm and the digest in base64. Raises Invalid."""
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in CHECKSUMS:
        raise Invalid.one("Upload-Checksum", f"one of {', '.join(CHECKSUMS)}", algorithm)
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        digest = b""
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    if len(digest) != size:
        raise Invalid.one("Upload-Checksum", f"{algorithm} and {size} bytes in base64", text)
    return Checksum(algorithm, digest)


def capabilities(max_bytes: int) -> Mapping[str, str]:
    """The headers with which a client learns what the server can do."""
    return {
        "tus-version": VERSION,
        "tus-extension": EXTENSIONS,
        "tus-max-size": str(max_bytes),
        "tus-checksum-algorithm": ",".join(CHECKSUMS),
    }
