"""S3 store: the client over obstore, for every key that an obstore path can express.

Quick to start and fast to transfer. Originals and renditions normally use this client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import S3Store as ObstoreBucket

from image_processor.aws.credentials import GetCredentials, StaticCredentials
from image_processor.aws.endpoints import Endpoint
from image_processor.aws.retries import PATIENT, Retries
from image_processor.domain.errors import NotFound, PreconditionFailed, Unavailable
from image_processor.domain.ports import Absent, Attributes, Entry, StoredObject

from .object_client import (
    CACHE_CONTROL,
    MEDIA_TYPE,
    ByteSpan,
    OpenObject,
    attributes_from_headers,
    error_code,
    error_from_response,
    etag_from_version,
    version_from_etag,
)

# What obstore rejects or silently changes in a path: empty segments (so also a leading or trailing
# slash, which it drops), `.`, `..`, and control characters.
_INEXPRESSIBLE_SEGMENTS = frozenset({"", ".", ".."})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STATUS = re.compile(r"status code: (\d{3})")

_CONNECT_TIMEOUT = timedelta(seconds=2)
_READ_TIMEOUT = timedelta(seconds=10)
"""Without any byte received."""
_TOTAL_TIMEOUT = timedelta(minutes=5)
_INITIAL_BACKOFF, _MAX_BACKOFF = timedelta(milliseconds=100), timedelta(seconds=20)


def is_expressible(key: str) -> bool:
    """Whether obstore would request exactly this key from S3."""
    return _CONTROL.search(key) is None and _INEXPRESSIBLE_SEGMENTS.isdisjoint(key.split("/"))


class ObstoreClient:
    """ObjectClient over obstore. Every key must be expressible."""

    def __init__(
        self,
        bucket: str,
        endpoint: Endpoint,
        region: str,
        credentials: GetCredentials,
        retries: Retries = PATIENT,
    ) -> None:
        self._name = bucket
        self._bucket = ObstoreBucket(
            bucket,
            # Not `endpoint`, which an environment variable would override.
            aws_endpoint_url_s3=endpoint.url.removesuffix(f"/{bucket}"),
            region=region,
            virtual_hosted_style_request=not endpoint.path.endswith(f"/{bucket}"),
            disable_bulk_delete=True,
            client_options={
                "connect_timeout": _CONNECT_TIMEOUT,
                "read_timeout": _READ_TIMEOUT,
                "timeout": _TOTAL_TIMEOUT,
                "allow_http": endpoint.scheme == "http",
            },
            # For server errors, 503 Slow Down among them. obstore knows no deadline that moves.
            retry_config={
                "max_retries": retries.attempts - 1,
                "retry_timeout": timedelta(seconds=retries.budget),
                "backoff": {"init_backoff": _INITIAL_BACKOFF, "max_backoff": _MAX_BACKOFF, "base": 2},
            },
            **_credential_options(credentials),
        )

    def head(self, key: str) -> StoredObject:
        with _translate_errors(self._name, key):
            result = obstore.get(self._bucket, key, options={"head": True})
        return StoredObject(_entry(key, result.meta), _attributes(result.attributes))

    @contextmanager
    def open(
        self, key: str, *, version: str | None = None, span: ByteSpan | None = None
    ) -> Iterator[OpenObject]:
        options: dict[str, Any] = {} if span is None else {"range": span}
        if version is not None:
            options["if_match"] = etag_from_version(version)
        with _translate_errors(self._name, key):
            result = obstore.get(self._bucket, key, options=options)  # type: ignore[arg-type] # a TypedDict built in steps
        yield _OpenObject(self._name, _entry(key, result.meta), _attributes(result.attributes), result)

    def put(self, key: str, body: bytes, attributes: Attributes, condition: str | Absent | None) -> str:
        mode: Any = "create" if isinstance(condition, Absent) else "overwrite"
        if isinstance(condition, str):
            mode = {"e_tag": etag_from_version(condition)}
        headers = _headers(attributes)
        try:
            with _translate_errors(self._name, key):
                result = obstore.put(
                    self._bucket, key, body, attributes=headers, mode=mode, use_multipart=False
                )
        except NotFound as error:
            # For a conditional write a missing object is a condition that does not hold.
            raise PreconditionFailed(str(error)) from None
        return version_from_etag(result["e_tag"])

    def delete(self, key: str) -> None:
        with _translate_errors(self._name, key):
            obstore.delete(self._bucket, key)

    def children(self, prefix: str) -> list[Entry] | None:
        """The objects directly under ``prefix``, which is "" or an expressible key and a slash. None if
        obstore cannot list them, mostly because another key there is not expressible."""
        try:
            result = obstore.list_with_delimiter(self._bucket, prefix or None)
        except (BaseError, OSError):
            return None
        # obstore drops the trailing slash of a folder marker (a key equal to the prefix).
        return [
            _entry(prefix if len(meta["path"]) < len(prefix) else meta["path"], meta)
            for meta in result["objects"]
        ]


class _OpenObject(Struct, frozen=True):
    bucket: str
    entry: Entry
    attributes: Attributes
    result: obstore.GetResult

    def read(self) -> bytes:
        with _translate_read_errors(self.bucket, self.entry.key):
            return self.result.bytes().to_bytes()

    def chunks(self) -> Iterator[bytes]:
        with _translate_read_errors(self.bucket, self.entry.key):
            for chunk in self.result.stream():
                yield bytes(chunk)


def _credential_options(credentials: GetCredentials) -> dict[str, Any]:
    """The options that give obstore its credentials.

    Static ones with a session token (Lambda) are passed as values, because for a function obstore
    imports `inspect`, 10 ms of a cold start. Keys without a token are passed by a function, because
    otherwise obstore would add AWS_SESSION_TOKEN of the environment, even an empty one.
    """
    if not isinstance(credentials, StaticCredentials) or credentials().token is None:
        return {"credential_provider": lambda: _current_credentials(credentials)}
    fixed = credentials()
    return {
        "access_key_id": fixed.access_key_id,
        "secret_access_key": fixed.secret_access_key,
        "session_token": fixed.token,
    }


def _current_credentials(credentials: GetCredentials) -> Any:
    current = credentials()
    return {
        "access_key_id": current.access_key_id,
        "secret_access_key": current.secret_access_key,
        "token": current.token,
        "expires_at": current.expires_at,
    }


def _entry(key: str, meta: obstore.ObjectMeta) -> Entry:
    return Entry(key, meta["size"], version_from_etag(meta["e_tag"]), meta["last_modified"])


def _attributes(headers: obstore.Attributes) -> Attributes:
    # S3 returns metadata names in lower case. Names with capitals are headers.
    return attributes_from_headers(
        headers, {name: value for name, value in headers.items() if name == name.lower()}
    )


def _headers(attributes: Attributes) -> dict[str, str]:
    headers = {**attributes.metadata, MEDIA_TYPE: attributes.media_type}
    if attributes.cache_control is not None:
        headers[CACHE_CONTROL] = attributes.cache_control
    return headers


@contextmanager
def _translate_errors(bucket: str, key: str) -> Iterator[None]:
    """Raise the port's error for obstore's. Leaves out obstore's text, which contains response headers."""
    try:
        yield
    except (BaseError, OSError) as error:
        text = str(error)
        status = _STATUS.search(text)
        raise error_from_response(bucket, key, int(status[1]) if status else None, error_code(text)) from None


@contextmanager
def _translate_read_errors(bucket: str, key: str) -> Iterator[None]:
    """As _translate_errors, while a body is read: obstore resumes a broken transfer on the condition
    that the object is unchanged."""
    try:
        with _translate_errors(bucket, key):
            yield
    except (NotFound, PreconditionFailed):
        raise Unavailable(f"{key!r} in the bucket {bucket} was overwritten while it was read") from None
