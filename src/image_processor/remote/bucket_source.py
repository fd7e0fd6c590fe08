"""Fetches objects of S3-compatible buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

from image_processor.config.remote_sources import RemoteUrl, parse_remote_url
from image_processor.domain.errors import (
    NotFound,
    PreconditionFailed,
    Reason,
    Refused,
    SourceFailed,
    SourceNotAllowed,
    Unavailable,
)
from image_processor.domain.ports import ObjectStore, RemoteFile, StoredObject, Validators

from .freshness import fresh_seconds


class BucketSource:
    """RemoteReader of s3 URLs. ``store_of`` opens the bucket of a URL, or returns None if it is that of no
    source. An object's version is its ETag."""

    def __init__(self, store_of: Callable[[RemoteUrl], ObjectStore | None]) -> None:
        self._store_of = store_of

    @contextmanager
    def open(self, url: str, validators: Validators, *, limit: int) -> Iterator[RemoteFile]:
        """Implements `RemoteReader.open`."""
        parsed = parse_remote_url(url)
        store = self._store_of(parsed)
        if store is None:
            raise SourceNotAllowed("expected an object of a remote source's bucket, got another one")
        key = parsed.path.removeprefix("/")
        with _store_errors(parsed.host):
            stored = store.head(key)
        size, etag = stored.entry.size, stored.entry.version
        if size > limit:
            raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {size}")
        chunks = None if validators.etag == etag else _chunks(store, stored, parsed.host)
        yield RemoteFile(chunks, Validators(etag), fresh_seconds(_headers(stored), datetime.now(UTC)))


def _headers(stored: StoredObject) -> dict[str, str]:
    """What S3 would send of an object over HTTP."""
    headers = {"last-modified": format_datetime(stored.entry.modified.astimezone(UTC), usegmt=True)}
    cache_control = stored.attributes.cache_control
    return headers if cache_control is None else {**headers, "cache-control": cache_control}


def _chunks(store: ObjectStore, stored: StoredObject, bucket: str) -> Iterator[bytes]:
    entry = stored.entry
    with _store_errors(bucket):
        yield from store.read(entry.key, 0, entry.size, version=entry.version)


@contextmanager
def _store_errors(bucket: str) -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise NotFound(f"the bucket {bucket} has no such file") from None
    except (Unavailable, Refused, PreconditionFailed) as error:
        raise SourceFailed(f"cannot fetch from the bucket {bucket}: {error}") from error
