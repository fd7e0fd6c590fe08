"""S3 store: the way through obstore, for every key that its paths can express.

Fast to start and to transfer; this is the way that originals and renditions take.
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
from obstore.store import S3Store as Bucket

from image_processor.aws.credentials import Fixed, GetCredentials
from image_processor.aws.endpoints import Endpoint
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

# What an obstore path refuses or silently changes: an empty segment (and so a slash at either
# end, which it drops), `.`, `..`, and control characters.
_ODD_SEGMENTS = frozenset({"", ".", ".."})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STATUS = re.compile(r"status code: (\d{3})")

_CONNECT = timedelta(seconds=2)
# Without a byte; a transfer that goes on may take longer.
_SILENCE, _TRANSFER = timedelta(seconds=10), timedelta(minutes=5)
_RETRYING = timedelta(seconds=30)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=2)


def is_expressible(key: str) -> bool:
    """Whether obstore would ask S3 for exactly this key."""
    return _CONTROL.search(key) is None and _ODD_SEGMENTS.isdisjoint(key.split("/"))


class PlainObjects:
    """Objects of one bucket through obstore. Every key must be expressible."""

    def __init__(self, bucket: str, endpoint: Endpoint, region: str, credentials: GetCredentials) -> None:
        self._bucket = Bucket(
            bucket,
            # Not `endpoint`, which a variable of the environment would override.
            aws_endpoint_url_s3=endpoint.url.removesuffix(f"/{bucket}"),
            region=region,
            virtual_hosted_style_request=not endpoint.path.endswith(f"/{bucket}"),
            disable_bulk_delete=True,
            client_options={
                "connect_timeout": _CONNECT,
                "read_timeout": _SILENCE,
                "timeout": _TRANSFER,
                "allow_http": endpoint.scheme == "http",
            },
            retry_config={
                "max_retries": 3,
                "retry_timeout": _RETRYING,
                "backoff": {"init_backoff": _FIRST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
            },
            **_keys(credentials),
        )

    def head(self, key: str) -> StoredObject:
        with _answering(key):
            found = obstore.get(self._bucket, key, options={"head": True})
        return StoredObject(_entry(key, found.meta), _attributes(found.attributes))

    @contextmanager
    def opened(self, key: str, *, version: str | None = None, span: Span | None = None) -> Iterator[Opened]:
        options: dict[str, Any] = {} if span is None else {"range": span}
        if version is not None:
            options["if_match"] = entity_tag_of(version)
        with _answering(key):
            found = obstore.get(self._bucket, key, options=options)  # type: ignore[arg-type] # a TypedDict built in steps
        yield _Opened(_entry(key, found.meta), _attributes(found.attributes), found)

    def put(self, key: str, body: bytes, attributes: Attributes, condition: str | Absent | None) -> str:
        mode: Any = "create" if isinstance(condition, Absent) else "overwrite"
        if isinstance(condition, str):
            mode = {"e_tag": entity_tag_of(condition)}
        headers = _headers(attributes)
        try:
            with _answering(key):
                done = obstore.put(
                    self._bucket, key, body, attributes=headers, mode=mode, use_multipart=False
                )
        except NotFound as missing:
            # To a write, a missing object is one that is not as the condition says.
            raise PreconditionFailed(str(missing)) from None
        return version_of(done["e_tag"])

    def delete(self, key: str) -> None:
        with _answering(key):
            obstore.delete(self._bucket, key)

    def children(self, prefix: str) -> list[Entry] | None:
        """The objects directly under ``prefix``, which is "" or ends in a slash and is otherwise
        expressible; None where obstore cannot list them, mostly because a neighbour is not."""
        try:
            found = obstore.list_with_delimiter(self._bucket, prefix or None)
        except (BaseError, OSError):
            return None
        # obstore drops the slash of a key that is the prefix itself, a folder marker.
        return [
            _entry(prefix if len(meta["path"]) < len(prefix) else meta["path"], meta)
            for meta in found["objects"]
        ]


class _Opened(Struct, frozen=True):
    entry: Entry
    attributes: Attributes
    found: obstore.GetResult

    def read(self) -> bytes:
        with _reading(self.entry.key):
            return self.found.bytes().to_bytes()

    def chunks(self) -> Iterator[bytes]:
        with _reading(self.entry.key):
            for chunk in self.found.stream():
                yield bytes(chunk)


def _keys(credentials: GetCredentials) -> dict[str, Any]:
    """How obstore is told the keys. With a function it loads `inspect`, to learn whether it has to
    await it: 10 ms of a cold start, which has fixed keys in Lambda.

    Those of a user, who has no token, go by the function too: obstore would take AWS_SESSION_TOKEN
    of the environment for theirs, even an empty one.
    """
    if not isinstance(credentials, Fixed) or credentials().token is None:
        return {"credential_provider": lambda: _credential(credentials)}
    fixed = credentials()
    return {
        "access_key_id": fixed.access_key_id,
        "secret_access_key": fixed.secret_access_key,
        "session_token": fixed.token,
    }


def _credential(credentials: GetCredentials) -> Any:
    now = credentials()
    return {
        "access_key_id": now.access_key_id,
        "secret_access_key": now.secret_access_key,
        "token": now.token,
        "expires_at": now.expires_at,
    }


def _entry(key: str, meta: obstore.ObjectMeta) -> Entry:
    return Entry(key, meta["size"], version_of(meta["e_tag"]), meta["last_modified"])


def _attributes(found: obstore.Attributes) -> Attributes:
    # S3 gives metadata in lower case; what has capitals is a header.
    return attributes_of(found, {name: value for name, value in found.items() if name == name.lower()})


def _headers(attributes: Attributes) -> dict[str, str]:
    headers = {**attributes.metadata, MEDIA_TYPE: attributes.media_type}
    if attributes.cache_control is not None:
        headers[CACHE_CONTROL] = attributes.cache_control
    return headers


@contextmanager
def _answering(key: str) -> Iterator[None]:
    """obstore's error as the port's. Its own text, with the answer's headers, is left behind."""
    try:
        yield
    except (BaseError, OSError) as error:
        text = str(error)
        status = _STATUS.search(text)
        raise failure(key, int(status[1]) if status else None, code_in(text)) from None


@contextmanager
def _reading(key: str) -> Iterator[None]:
    """obstore resumes a broken body on the condition that the object is still the same."""
    try:
        with _answering(key):
            yield
    except (NotFound, PreconditionFailed):
        raise Unavailable(f"{key!r} was overwritten while it was read") from None
