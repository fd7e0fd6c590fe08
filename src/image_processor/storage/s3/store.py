"""Object store adapter: objects in one S3 bucket, on AWS or on an S3-compatible service.

Ordinary keys use ObstoreClient. Keys that obstore rejects or changes, streams and recursive listings
use SignedClient, which is imported when first needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from image_processor.aws.credentials import GetCredentials, credentials_from
from image_processor.aws.endpoints import bucket_endpoint, check_region, endpoint_override, region_from
from image_processor.aws.retries import PATIENT, Retries
from image_processor.domain.errors import (
    AccessDenied,
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    Unreadable,
)
from image_processor.domain.keys import MAX_KEY_BYTES, check_key
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

from .object_client import ObjectClient, OutOfRange, check_attributes, etag_from_version
from .obstore_client import ObstoreClient, is_expressible

if TYPE_CHECKING:
    from .signed_client import SignedClient

_CHUNK = 256 * 1024
_MAX_IN_MEMORY = 8 * 1024 * 1024
"""Bytes of a stream held in memory. Longer streams are collected in a temporary file."""


class S3Store:
    """ObjectStore over a bucket. Safe for threads and processes.

    An object's version is its ETag: other bytes have another ETag, equal bytes may have the same.
    ``endpoint`` replaces AWS's own and defaults to AWS_ENDPOINT_URL_S3; TLS is used unless it starts
    with `http://`. Region and credentials default to those in the environment. Raises
    InvalidSettings.

    ``modified`` of an entry returned by a write is the local time, because S3 returns its own only to
    a further request.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: GetCredentials | None = None,
        retries: Retries = PATIENT,
    ) -> None:
        self._bucket = bucket
        self._retries = retries
        self._region = check_region(region) if region else region_from()
        self._endpoint = bucket_endpoint(bucket, self._region, endpoint or endpoint_override("s3"))
        self._credentials = credentials or credentials_from(os.environ)

    def head(self, key: str) -> StoredObject:
        client = self._client_for(key)
        with self._denials(key):
            try:
                return client.head(key)
            except NotFound:
                # HEAD has no body that distinguishes a missing key from a missing bucket.
                with client.open(key) as opened:
                    return StoredObject(opened.entry, opened.attributes)

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        self._check_version(key, version)
        with self._denials(key), self._client_for(key).open(key, version=version) as opened:
            if limit is not None and opened.entry.size > limit:
                raise _too_large(key, limit, opened.entry.size)
            return StoredObject(opened.entry, opened.attributes, opened.read())

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        chunks = self._read_range(key, max(start, 0), stop, version)
        # Sends the request and checks the version now. A started generator also releases its
        # connection when it is dropped.
        next(chunks)
        return chunks

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        client = self._client_for(key)
        _check_condition(key, condition)
        version = client.put(key, body, check_attributes(attributes), condition)
        return Entry(key, len(body), version, datetime.now(UTC))

    def put_stream(
        self,
        key: str,
        chunks: Iterable[bytes],
        attributes: Attributes,
        *,
        limit: int,
        condition: str | Absent | None = None,
    ) -> Entry:
        # Collects all chunks first and then sends one request (up to 5 GiB), so there is no multipart
        # upload to abort, not even after a kill.
        from tempfile import SpooledTemporaryFile  # noqa: PLC0415 - rare on AWS: browsers post to S3 directly

        from image_processor.aws.client import Body  # noqa: PLC0415 - as above

        check_key(key)
        check_attributes(attributes)
        size, digest = 0, sha256()
        with SpooledTemporaryFile(_MAX_IN_MEMORY) as file:
            for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise _too_large(key, limit, size)
                digest.update(chunk)
                file.write(chunk)
            _check_condition(key, condition)
            body = Body(file, size, digest.hexdigest())
            version = self._signed.put_body(key, body, attributes, condition)
        return Entry(key, size, version, datetime.now(UTC))

    def delete(self, key: str, *, condition: str | None = None) -> None:
        if condition is None:
            self._client_for(key).delete(key)
            return
        check_key(key)
        _check_condition(key, condition)
        # obstore cannot express it ("How to perform conditional deletes").
        self._signed.delete(key, condition)

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        if prefix and not _is_key_prefix(prefix):
            return
        if direct and not start_after and _is_expressible_folder(prefix):
            children = self._obstore.children(prefix)
            if children is not None:
                yield from children
                return
        after = start_after.encode(errors="surrogatepass")
        # Filtered here too, because `start_after` may be a text that S3 rejects.
        sent = start_after if _is_key_prefix(start_after) else ""
        for entry in self._signed.list(prefix, sent, direct=direct):
            if entry.key.encode() > after:
                yield entry

    def _client_for(self, key: str) -> ObjectClient:
        return self._obstore if is_expressible(check_key(key)) else self._signed

    @cached_property
    def _obstore(self) -> ObstoreClient:
        # Not in __init__: it reads the system's root certificates, 12 ms of a cold start, and a delivery
        # that finds its rendition needs only one of its two buckets.
        return ObstoreClient(self._bucket, self._endpoint, self._region, self._credentials, self._retries)

    @cached_property
    def _signed(self) -> SignedClient:
        from .signed_client import SignedClient  # noqa: PLC0415 - 20 ms of a cold start that few events need

        return SignedClient(self._bucket, self._endpoint, self._region, self._credentials, self._retries)

    def _read_range(self, key: str, start: int, stop: int, version: str | None) -> Iterator[bytes]:
        self._check_version(key, version)
        if stop <= start:
            current = self.head(key).entry.version
            if version not in {None, current}:
                raise _not_current(key, version)
            yield b""
            return
        try:
            with (
                self._denials(key),
                self._client_for(key).open(key, version=version, span=(start, stop)) as opened,
            ):
                yield b""
                for chunk in opened.chunks():
                    yield from (chunk[offset : offset + _CHUNK] for offset in range(0, len(chunk), _CHUNK))
        except OutOfRange:
            yield b""

    @contextmanager
    def _denials(self, key: str) -> Iterator[None]:
        """Raise Unreadable for an object that S3 lists but does not return: one of another owner, encrypted
        with a KMS key that is denied, or archived (403 InvalidObjectState). If the listing is denied, too, or
        does not show it, the role or the bucket is at fault: Unavailable."""
        try:
            yield
        except AccessDenied as denied:
            listed = next(self._signed.list(key, "", direct=False), None)  # the key itself is first
            if listed is None or listed.key != key:
                raise
            place = f"{key!r} in the bucket {self._bucket}"
            message = f"expected {place} to be readable, got {denied.answer} from S3"
            raise Unreadable(message, listed.version) from None

    def _check_version(self, key: str, version: str | None) -> None:
        """Raise NotFound or PreconditionFailed for a version that is not an ETag."""
        if version is not None and etag_from_version(version) is None:
            self.head(key)
            raise _not_current(key, version)


def _not_current(key: str, version: object) -> PreconditionFailed:
    return PreconditionFailed(f"expected version {version!r} under {key!r}, got another")


def _check_condition(key: str, condition: str | Absent | None) -> None:
    """Raise PreconditionFailed for a version that is not an ETag."""
    if isinstance(condition, str) and etag_from_version(condition) is None:
        raise _not_current(key, condition)


def _too_large(key: str, limit: int, size: int) -> Refused:
    return Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes for {key!r}, got {size}")


def _is_expressible_folder(prefix: str) -> bool:
    """Whether obstore can list the objects directly under ``prefix``."""
    return not prefix or (prefix.endswith("/") and is_expressible(prefix[:-1]))


def _is_key_prefix(text: str) -> bool:
    """Whether ``text`` can be a prefix of a key. S3 returns errors for others."""
    try:
        return len(text.encode()) <= MAX_KEY_BYTES and "\0" not in text
    except UnicodeEncodeError:
        return False
