"""S3 store: the way of plain signed requests, for keys that obstore cannot express, for bodies
from a file, and for listings, where one odd key would break obstore's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from msgspec import Struct

from image_processor.aws.client import Body, Client, Request
from image_processor.aws.credentials import GetCredentials
from image_processor.aws.endpoints import Endpoint
from image_processor.aws.signature import Scope
from image_processor.aws.wire import Response
from image_processor.domain.errors import NotFound, PreconditionFailed, Unavailable
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

from .objects import (
    CACHE_CONTROL,
    MEDIA_TYPE,
    Opened,
    Span,
    attributes_of,
    code_in,
    entity_tag_of,
    failure,
    version_of,
)

_CHUNK = 256 * 1024
_METADATA = "x-amz-meta-"
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class SignedObjects:
    """Objects of one bucket through requests of our own. Any key that S3 takes goes over the wire
    as it is, `.`, `..` and empty segments included."""

    def __init__(self, endpoint: Endpoint, region: str, credentials: GetCredentials) -> None:
        self._client = Client(endpoint, Scope(region, "s3"), credentials)

    def head(self, key: str) -> StoredObject:
        answer = self._client.send(Request("HEAD", f"/{key}"))
        if answer.status != 200:
            raise failure(key, answer.status, None)
        return StoredObject(_entry(key, answer.headers), _attributes(answer.headers))

    @contextmanager
    def opened(self, key: str, *, version: str | None = None, span: Span | None = None) -> Iterator[Opened]:
        headers: dict[str, str] = {}
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[1] - 1}"
        if version is not None:
            headers["if-match"] = entity_tag_of(version) or ""
        with self._client.open(Request("GET", f"/{key}", headers=headers)) as response:
            if response.status not in {200, 206}:
                raise failure(key, response.status, code_in(response.read(_CHUNK).decode(errors="replace")))
            yield _Opened(_entry(key, response.headers), _attributes(response.headers), response)

    def put(self, key: str, body: bytes, attributes: Attributes, condition: str | Absent | None) -> str:
        return self.put_body(key, Body.of(body), attributes, condition)

    def put_body(self, key: str, body: Body, attributes: Attributes, condition: str | Absent | None) -> str:
        """As `put`, also from a file."""
        headers = _headers(attributes) | _condition(condition)
        answer = self._client.send(Request("PUT", f"/{key}", headers=headers, body=body))
        if answer.status != 200:
            meant = failure(key, answer.status, code_in(answer.body.decode(errors="replace")))
            # To a write, a missing object is one that is not as the condition says.
            raise PreconditionFailed(str(meant)) if isinstance(meant, NotFound) else meant
        return version_of(answer.headers.get("etag"))

    def delete(self, key: str) -> None:
        answer = self._client.send(Request("DELETE", f"/{key}"))
        if answer.status not in {200, 204}:
            raise failure(key, answer.status, code_in(answer.body.decode(errors="replace")))

    def list(self, prefix: str, start_after: str, *, direct: bool) -> Iterator[Entry]:
        """Entries in S3's order, a thousand a request."""
        # Without url encoding a key with a control character would be no XML that one can read.
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "start-after": start_after}
        if direct:
            query["delimiter"] = "/"
        token: str | None = ""
        while token is not None:
            page = self._page(prefix, query | ({"continuation-token": token} if token else {}))
            for found in page.findall(f"{_NAMESPACE}Contents"):
                yield _listed(found)
            token = page.findtext(f"{_NAMESPACE}NextContinuationToken")

    def _page(self, prefix: str, query: dict[str, str]) -> ET.Element:
        query = {name: value for name, value in query.items() if value}
        answer = self._client.send(Request("GET", "/", query))
        if answer.status != 200:
            raise failure(prefix, answer.status, code_in(answer.body.decode(errors="replace")))
        try:
            return ET.fromstring(answer.body)  # noqa: S314 - S3's own answer to a signed request
        except ET.ParseError:
            raise Unavailable(f"S3 cannot list {prefix!r}: its answer is no XML") from None


class _Opened(Struct, frozen=True):
    entry: Entry
    attributes: Attributes
    response: Response

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        try:
            while self.response.left:
                yield self.response.read(_CHUNK)
        except OSError:
            raise Unavailable(f"S3 broke off while {self.entry.key!r} was read") from None


def _entry(key: str, headers: Mapping[str, str]) -> Entry:
    # The whole object's size stands behind the slash of a range's answer.
    size = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "0")
    return Entry(
        key, int(size), version_of(headers.get("etag")), parsedate_to_datetime(headers["last-modified"])
    )


def _attributes(headers: Mapping[str, str]) -> Attributes:
    metadata = {
        name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)
    }
    known = {name: headers[name.lower()] for name in (MEDIA_TYPE, CACHE_CONTROL) if name.lower() in headers}
    return attributes_of(known, metadata)


def _headers(attributes: Attributes) -> dict[str, str]:
    headers = {_METADATA + name: value for name, value in attributes.metadata.items()}
    headers[MEDIA_TYPE.lower()] = attributes.media_type
    if attributes.cache_control is not None:
        headers[CACHE_CONTROL.lower()] = attributes.cache_control
    return headers


def _condition(condition: str | Absent | None) -> dict[str, str]:
    if isinstance(condition, Absent):
        return {"if-none-match": "*"}
    return {} if condition is None else {"if-match": entity_tag_of(condition) or ""}


def _listed(found: ET.Element) -> Entry:
    def text(name: str) -> str:
        return found.findtext(_NAMESPACE + name) or ""

    modified = datetime.fromisoformat(text("LastModified"))
    return Entry(unquote_plus(text("Key")), int(text("Size")), version_of(text("ETag")), modified)
