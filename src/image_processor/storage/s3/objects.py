"""S3 store: what both ways to S3 share: how an object looks, what its headers may say, and which
error an answer stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from image_processor.domain.errors import (
    ImageProcessorError,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

MEDIA_TYPE, CACHE_CONTROL = "Content-Type", "Cache-Control"

# RFC 9110, 8.8.3, without obs-text; whatever else claims to be a version is none of S3's.
_ENTITY_TAG = re.compile(r"[!#-~]+")
# obstore takes metadata and headers in one dictionary, so a name of both kinds would be a header.
_HEADERS = frozenset(
    {"content-type", "cache-control", "content-disposition", "content-encoding", "content-language"}
)
_METADATA_NAME = re.compile(r"[a-z0-9._-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_CODE = re.compile(r"<Code>(\w+)</Code>")

Span = tuple[int, int]
"""First byte, and the one behind the last."""


class OutOfRange(Exception):
    """The object ends before the range begins. Never leaves the store."""


class Opened(Protocol):
    """An object whose headers have arrived and whose body has not been read."""

    @property
    def entry(self) -> Entry: ...
    @property
    def attributes(self) -> Attributes: ...
    def read(self) -> bytes:
        """The whole body, once."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The body in chunks of any size, once."""
        ...


class Objects(Protocol):
    """A way to S3. Keys have been checked. Errors are those of ports.ObjectStore, and OutOfRange."""

    def head(self, key: str) -> StoredObject: ...
    def opened(
        self, key: str, *, version: str | None = None, span: Span | None = None
    ) -> AbstractContextManager[Opened]: ...
    def put(self, key: str, body: bytes, attributes: Attributes, condition: str | Absent | None) -> str:
        """Returns the new version."""
        ...

    def delete(self, key: str) -> None: ...


def version_of(entity_tag: str | None) -> str:
    """An ETag without its quotes. It is the version, and not S3's version id, because conditions
    on writes compare ETags only, and a bucket without versioning has no other."""
    return (entity_tag or "").strip('"')


def entity_tag_of(version: str) -> str | None:
    """The ETag to compare with; None for a text that no object of S3 has as its version."""
    return f'"{version}"' if _ENTITY_TAG.fullmatch(version) else None


def check_attributes(attributes: Attributes) -> Attributes:
    """Return ``attributes`` if HTTP headers can carry them unchanged, else raise Invalid."""
    values = {"media type": attributes.media_type, "cache control": attributes.cache_control or ""}
    for name, value in {**values, **attributes.metadata}.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise Invalid.one(name, "printable ASCII without space at its ends", value)
    for name in attributes.metadata:
        if not _METADATA_NAME.fullmatch(name) or name in _HEADERS:
            raise Invalid.one("metadata name", "a-z, 0-9, . _ - and no name of a header", name)
    return attributes


def attributes_of(headers: Mapping[str, str], metadata: Mapping[str, str]) -> Attributes:
    """Attributes from ``headers`` as S3 spells them. S3's own default is what it says itself."""
    return Attributes(
        headers.get(MEDIA_TYPE, Attributes().media_type), headers.get(CACHE_CONTROL), dict(metadata)
    )


def code_in(answer: str) -> str | None:
    """The code in the XML of S3's error."""
    found = _CODE.search(answer)
    return found[1] if found else None


def failure(key: str, status: int | None, code: str | None) -> ImageProcessorError | OutOfRange:
    """The error that an unsuccessful answer stands for; ``status`` is None where none came.

    A refused permission is no missing object, although S3 answers a HEAD or GET of a missing key
    so to a role without s3:ListBucket: taken for a deletion, it would purge the renditions.
    """
    if status == 404 and code != "NoSuchBucket":
        return NotFound(f"expected an object under {key!r}, got none")
    if status in {409, 412}:
        return PreconditionFailed(f"{key!r} is not, or not any more, what the condition says")
    if status == 416:
        return OutOfRange(key)
    if status in {401, 403}:
        return Unavailable(f"S3 denies {key!r} ({code or status}): does the role have s3:ListBucket, too?")
    return Unavailable(f"S3 cannot answer for {key!r}: {code or status or 'no answer'}")
