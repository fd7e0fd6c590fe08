"""Adapter: objects in one S3 bucket, on AWS or on what speaks its protocol.

Ordinary keys go through obstore. Keys that obstore would refuse or change, long streams and
whole listings go through signed requests of our own, which are loaded when first needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from image_processor.aws.credentials import GetCredentials, credentials_from
from image_processor.aws.endpoints import bucket_endpoint, check_region, override_of, region_from
from image_processor.domain.errors import NotFound, PreconditionFailed, Reason, Refused
from image_processor.domain.keys import MAX_KEY_BYTES, check_key
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

from .objects import Objects, OutOfRange, check_attributes, entity_tag_of
from .plain import PlainObjects, is_expressible

if TYPE_CHECKING:
    from .signed import SignedObjects

_CHUNK = 256 * 1024
# What a stream may hold in memory; more lies in a temporary file until all of it has come.
_IN_MEMORY = 8 * 1024 * 1024


class S3Store:
    """ObjectStore over a bucket. Safe for threads and processes.

    A version is the object's ETag: other bytes have another one, the same bytes may have the
    same. ``endpoint`` stands for AWS's own, by default as AWS_ENDPOINT_URL_S3 says; only an
    `http://` one is spoken to without TLS. Region and credentials come from the environment
    where they are not given. Raises InvalidSettings.

    An entry that a write returns tells the time by our clock: S3 would say its own only to a
    further request.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: GetCredentials | None = None,
    ) -> None:
        self._region = check_region(region) if region else region_from()
        self._endpoint = bucket_endpoint(bucket, self._region, endpoint or override_of("s3"))
        self._credentials = credentials or credentials_from(os.environ)
        self._plain = PlainObjects(bucket, self._endpoint, self._region, self._credentials)

    def head(self, key: str) -> StoredObject:
        objects = self._way_to(key)
        try:
            return objects.head(key)
        except NotFound:
            # A HEAD's answer has no body to tell a missing key from a missing bucket; a GET's has.
            with objects.opened(key) as opened:
                return StoredObject(opened.entry, opened.attributes)

    def get(self, key: str, *, limit: int | None = None, version: str | None = None) -> StoredObject:
        self._require_tag(key, version)
        with self._way_to(key).opened(key, version=version) as opened:
            if limit is not None and opened.entry.size > limit:
                raise _too_large(key, limit, opened.entry.size)
            return StoredObject(opened.entry, opened.attributes, opened.read())

    def read(self, key: str, start: int, stop: int, *, version: str | None = None) -> Iterator[bytes]:
        chunks = self._read(key, max(start, 0), stop, version)
        # Asks and checks now. A generator that has started also gives its connection back when dropped.
        next(chunks)
        return chunks

    def put(
        self, key: str, body: bytes, attributes: Attributes, *, condition: str | Absent | None = None
    ) -> Entry:
        objects = self._way_to(key)
        _check_condition(key, condition)
        version = objects.put(key, body, check_attributes(attributes), condition)
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
        # S3 hears nothing until everything is here, so that there is nothing to abort, not even
        # after a kill. One request takes up to 5 GiB.
        from tempfile import SpooledTemporaryFile  # noqa: PLC0415 - rare on AWS: browsers post to S3 themselves

        from image_processor.aws.client import Body  # noqa: PLC0415 - as above

        check_key(key)
        check_attributes(attributes)
        size, digest = 0, sha256()
        with SpooledTemporaryFile(_IN_MEMORY) as file:
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

    def delete(self, key: str) -> None:
        self._way_to(key).delete(key)

    def list(self, prefix: str = "", *, start_after: str = "", direct: bool = False) -> Iterator[Entry]:
        if prefix and not _is_speakable(prefix):
            return
        children = self._plain.children(prefix) if direct and not start_after and _is_folder(prefix) else None
        if children is not None:
            yield from children
            return
        after = start_after.encode(errors="surrogatepass")
        # What S3 cannot be told stands in the order all the same.
        said = start_after if _is_speakable(start_after) else ""
        for entry in self._signed.list(prefix, said, direct=direct):
            if entry.key.encode() > after:
                yield entry

    def _way_to(self, key: str) -> Objects:
        return self._plain if is_expressible(check_key(key)) else self._signed

    @cached_property
    def _signed(self) -> SignedObjects:
        from .signed import SignedObjects  # noqa: PLC0415 - 20 ms of a cold start that few events need

        return SignedObjects(self._endpoint, self._region, self._credentials)

    def _read(self, key: str, start: int, stop: int, version: str | None) -> Iterator[bytes]:
        self._require_tag(key, version)
        if stop <= start:
            current = self.head(key).entry.version
            if version not in {None, current}:
                raise _not_current(key, version)
            yield b""
            return
        try:
            with self._way_to(key).opened(key, version=version, span=(start, stop)) as opened:
                yield b""
                for chunk in opened.chunks():
                    yield from (chunk[at : at + _CHUNK] for at in range(0, len(chunk), _CHUNK))
        except OutOfRange:
            yield b""

    def _require_tag(self, key: str, version: str | None) -> None:
        """Raise for a version that cannot even be asked for."""
        if version is not None and entity_tag_of(version) is None:
            self.head(key)
            raise _not_current(key, version)


def _not_current(key: str, version: object) -> PreconditionFailed:
    return PreconditionFailed(f"expected version {version!r} under {key!r}, got another")


def _check_condition(key: str, condition: str | Absent | None) -> None:
    """Raise for a version that cannot even be named to S3."""
    if isinstance(condition, str) and entity_tag_of(condition) is None:
        raise _not_current(key, condition)


def _too_large(key: str, limit: int, size: int) -> Refused:
    return Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes for {key!r}, got {size}")


def _is_folder(prefix: str) -> bool:
    return not prefix or (prefix.endswith("/") and is_expressible(prefix[:-1]))


def _is_speakable(text: str) -> bool:
    """Whether ``text`` can be the beginning of a key: S3 answers others with errors."""
    try:
        return len(text.encode()) <= MAX_KEY_BYTES and "\0" not in text
    except UnicodeEncodeError:
        return False
