"""S3 store: what both clients share: their protocol, the mapping of headers, and the error that an
unsuccessful response stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from image_processor.domain.errors import (
    AccessDenied,
    ImageProcessorError,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

MEDIA_TYPE, CACHE_CONTROL = "Content-Type", "Cache-Control"

# RFC 9110, 8.8.3, without obs-text. No version of S3 has another form.
_ETAG = re.compile(r"[!#-~]+")
# obstore takes metadata and headers in one dictionary, so these names would become headers.
_HEADERS = frozenset(
    {"content-type", "cache-control", "content-disposition", "content-encoding", "content-language"}
)
_METADATA_NAME = re.compile(r"[a-z0-9._-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_ERROR_CODE = re.compile(r"<Code>(\w+)</Code>")

ByteSpan = tuple[int, int]
"""Start (inclusive) and stop (exclusive) of a range of bytes."""


class OutOfRange(Exception):
    """The object ends before the requested range starts. Internal to the S3 store."""


class OpenObject(Protocol):
    """An object whose headers have been received and whose body has not been read."""

    @property
    def entry(self) -> Entry: ...
    @property
    def attributes(self) -> Attributes: ...
    def read(self) -> bytes:
        """The whole body. May be called once."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The body in chunks of any size. May be called once."""
        ...


class ObjectClient(Protocol):
    """A client for one bucket. Keys have been checked. Raises the errors of ports.ObjectStore, and
    OutOfRange."""

    def head(self, key: str) -> StoredObject: ...
    def open(
        self, key: str, *, version: str | None = None, span: ByteSpan | None = None
    ) -> AbstractContextManager[OpenObject]: ...

    def put(self, key: str, body: bytes, attributes: Attributes, condition: str | Absent | None) -> str:
        """Write the object and return its new version."""
        ...

    def delete(self, key: str) -> None: ...


def version_from_etag(etag: str | None) -> str:
    """The version of an object: its ETag without quotes.

    Not S3's version id, because conditional writes compare ETags only, and a bucket without
    versioning has no version ids."""
    return (etag or "").strip('"')


def etag_from_version(version: str) -> str | None:
    """The ETag to send in a condition, or None for a text that is the version of no object in S3."""
    return f'"{version}"' if _ETAG.fullmatch(version) else None


def check_attributes(attributes: Attributes) -> Attributes:
    """Return ``attributes`` if HTTP headers can hold them unchanged, else raise Invalid."""
    values = {"media type": attributes.media_type, "cache control": attributes.cache_control or ""}
    for name, value in {**values, **attributes.metadata}.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise Invalid.one(name, "printable ASCII without leading or trailing space", value)
    for name in attributes.metadata:
        if not _METADATA_NAME.fullmatch(name) or name in _HEADERS:
            raise Invalid.one("metadata name", "a-z, 0-9, . _ - and not the name of a header", name)
    return attributes


def attributes_from_headers(headers: Mapping[str, str], metadata: Mapping[str, str]) -> Attributes:
    """Attributes from MEDIA_TYPE and CACHE_CONTROL in ``headers``, and user metadata."""
    return Attributes(
        headers.get(MEDIA_TYPE, Attributes().media_type), headers.get(CACHE_CONTROL), dict(metadata)
    )


def error_code(body: str) -> str | None:
    """The code in the XML body of an S3 error response."""
    match = _ERROR_CODE.search(body)
    return match[1] if match else None


def error_from_response(
    bucket: str, key: str, status: int | None, code: str | None
) -> ImageProcessorError | OutOfRange:
    """The error for an unsuccessful response. ``status`` is None if there was no response.

    403 is AccessDenied, not NotFound, although S3 sends it for a missing key to a role without
    s3:ListBucket: treated as a deletion it would delete the renditions.
    """
    if status == 404 and code != "NoSuchBucket":
        return NotFound(f"expected an object under {key!r}, got none")
    if status in {409, 412}:
        return PreconditionFailed(f"{key!r} does not match the condition")
    if status == 416:
        return OutOfRange(key)
    if status in {401, 403}:
        return AccessDenied(
            f"S3 denies access to {key!r} in the bucket {bucket} ({code or status}): "
            "does the role have s3:ListBucket too?",
            str(code or status),
        )
    return Unavailable(
        f"S3 request for {key!r} in the bucket {bucket} failed: {code or status or 'no response'}"
    )
