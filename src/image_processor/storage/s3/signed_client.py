"""S3 store: the client over our own signed requests, for what obstore cannot do: keys that its paths
cannot express, bodies read from a file, and listings that contain such keys.
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
from image_processor.aws.connection import ResponseStream
from image_processor.aws.credentials import GetCredentials
from image_processor.aws.endpoints import Endpoint
from image_processor.aws.retries import PATIENT, Retries
from image_processor.aws.signature import Scope
from image_processor.domain.errors import ImageProcessorError, NotFound, PreconditionFailed, Unavailable
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

from .object_client import (
    CACHE_CONTROL,
    MEDIA_TYPE,
    ByteSpan,
    OpenObject,
    OutOfRange,
    attributes_from_headers,
    error_code,
    error_from_response,
    etag_from_version,
    version_from_etag,
)

_CHUNK = 256 * 1024
_METADATA = "x-amz-meta-"
_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class SignedClient:
    """ObjectClient over signed requests. Every key that S3 accepts is sent unchanged, with `.`, `..` and
    empty segments."""

    def __init__(
        self,
        bucket: str,
        endpoint: Endpoint,
        region: str,
        credentials: GetCredentials,
        retries: Retries = PATIENT,
    ) -> None:
        self._bucket = bucket
        self._client = Client(endpoint, Scope(region, "s3"), credentials, retries=retries)

    def head(self, key: str) -> StoredObject:
        response = self._client.send(Request("HEAD", f"/{key}"))
        if response.status != 200:
            raise error_from_response(self._bucket, key, response.status, None)
        return StoredObject(_entry(key, response.headers), _attributes(response.headers))

    @contextmanager
    def open(
        self, key: str, *, version: str | None = None, span: ByteSpan | None = None
    ) -> Iterator[OpenObject]:
        headers: dict[str, str] = {}
        if span is not None:
            headers["range"] = f"bytes={span[0]}-{span[1] - 1}"
        if version is not None:
            headers["if-match"] = etag_from_version(version) or ""
        with self._client.stream(Request("GET", f"/{key}", headers=headers)) as response:
            if response.status not in {200, 206}:
                raise self._error(key, response.status, response.read(_CHUNK))
            yield _OpenObject(
                self._bucket, _entry(key, response.headers), _attributes(response.headers), response
            )

    def put(self, key: str, body: bytes, attributes: Attributes, condition: str | Absent | None) -> str:
        return self.put_body(key, Body.from_bytes(body), attributes, condition)

    def put_body(self, key: str, body: Body, attributes: Attributes, condition: str | Absent | None) -> str:
        """As `put`, with a body that may be a file."""
        headers = _headers(attributes) | _condition(condition)
        response = self._client.send(Request("PUT", f"/{key}", headers=headers, body=body))
        if response.status != 200:
            error = self._error(key, response.status, response.body)
            # For a conditional write a missing object is a condition that does not hold.
            raise PreconditionFailed(str(error)) if isinstance(error, NotFound) else error
        return version_from_etag(response.headers.get("etag"))

    def delete(self, key: str, condition: str | None = None) -> None:
        response = self._client.send(Request("DELETE", f"/{key}", headers=_condition(condition)))
        if response.status not in {200, 204}:
            error = self._error(key, response.status, response.body)
            raise PreconditionFailed(str(error)) if isinstance(error, NotFound) else error

    def list(self, prefix: str, start_after: str, *, direct: bool) -> Iterator[Entry]:
        """Entries in S3's order, a thousand per request."""
        # XML cannot hold control characters, so keys are requested URL-encoded.
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, "start-after": start_after}
        if direct:
            query["delimiter"] = "/"
        token: str | None = ""
        while token is not None:
            page = self._page(prefix, query | ({"continuation-token": token} if token else {}))
            for contents in page.findall(f"{_NAMESPACE}Contents"):
                yield _listed_entry(contents)
            token = page.findtext(f"{_NAMESPACE}NextContinuationToken")

    def _page(self, prefix: str, query: dict[str, str]) -> ET.Element:
        query = {name: value for name, value in query.items() if value}
        response = self._client.send(Request("GET", "/", query))
        if response.status != 200:
            raise self._error(prefix, response.status, response.body)
        try:
            return ET.fromstring(response.body)  # noqa: S314 - S3's own response to a signed request
        except ET.ParseError:
            raise Unavailable(
                f"S3 cannot list {prefix!r} in the bucket {self._bucket}: its response is not XML"
            ) from None

    def _error(self, key: str, status: int, body: bytes) -> ImageProcessorError | OutOfRange:
        return error_from_response(self._bucket, key, status, error_code(body.decode(errors="replace")))


class _OpenObject(Struct, frozen=True):
    bucket: str
    entry: Entry
    attributes: Attributes
    response: ResponseStream

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        try:
            while chunk := self.response.read(_CHUNK):
                yield chunk
        except OSError:
            name = f"{self.entry.key!r} in the bucket {self.bucket}"
            raise Unavailable(f"S3 closed the connection while {name} was read") from None


def _entry(key: str, headers: Mapping[str, str]) -> Entry:
    # For a range the whole object's size follows the slash: `bytes 0-9/1234`.
    size = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length", "0")
    return Entry(
        key,
        int(size),
        version_from_etag(headers.get("etag")),
        parsedate_to_datetime(headers["last-modified"]),
    )


def _attributes(headers: Mapping[str, str]) -> Attributes:
    metadata = {
        name.removeprefix(_METADATA): value for name, value in headers.items() if name.startswith(_METADATA)
    }
    known = {name: headers[name.lower()] for name in (MEDIA_TYPE, CACHE_CONTROL) if name.lower() in headers}
    return attributes_from_headers(known, metadata)


def _headers(attributes: Attributes) -> dict[str, str]:
    headers = {_METADATA + name: value for name, value in attributes.metadata.items()}
    headers[MEDIA_TYPE.lower()] = attributes.media_type
    if attributes.cache_control is not None:
        headers[CACHE_CONTROL.lower()] = attributes.cache_control
    return headers


def _condition(condition: str | Absent | None) -> dict[str, str]:
    if isinstance(condition, Absent):
        return {"if-none-match": "*"}
    return {} if condition is None else {"if-match": etag_from_version(condition) or ""}


def _listed_entry(contents: ET.Element) -> Entry:
    def text(name: str) -> str:
        return contents.findtext(_NAMESPACE + name) or ""

    modified = datetime.fromisoformat(text("LastModified"))
    return Entry(unquote_plus(text("Key")), int(text("Size")), version_from_etag(text("ETag")), modified)
