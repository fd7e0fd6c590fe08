"""Uploads that continue after an interruption, by tus 1.0 (https://tus.io/protocols/resumable-upload).

Three kinds of requests, so that retries, authorisation and errors are those of every other call. tuspy would
bring requests and aiohttp beside httpx, and errors and retries of its own.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Unpack
from urllib.parse import urljoin

from msgspec import Struct

from .errors import ApiError, ImageProcessorError, NotFound
from .flows import Call, Flow, Pause, Reply, UploadRoute, WriteOptions, condition, send, wait_for
from .models import Image, Upload
from .source import Source

CHUNK_BYTES = 8 * 2**20
"""Bytes of one request: what a proxy that buffers requests, or a time limit, can cost at most."""

_PATH = "/resumable"
_VERSION = {"tus-resumable": "1.0.0"}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Progress(Struct, frozen=True):
    """How much of a file has arrived. ``resume`` continues the upload in another process, for as long as the
    server keeps it."""

    sent: int
    total: int
    resume: str


OnProgress = Callable[[Progress], object]


class ResumableOptions(WriteOptions, total=False):
    """How a large file is sent."""

    resume: str | None
    on_progress: OnProgress | None
    chunk_bytes: int


class _Options(Struct, frozen=True, kw_only=True):
    """``attempts``: how often in a row a request may fail."""

    attempts: int
    overwrite: bool = True
    if_version: str | None = None
    resume: str | None = None
    on_progress: OnProgress | None = None
    chunk_bytes: int = CHUNK_BYTES


def upload(
    source: Source,
    key: str | None,
    route: UploadRoute,
    wait: float | None,
    attempts: int,
    **options: Unpack[ResumableOptions],
) -> Flow[Upload | Image]:
    """Store a file in parts; with ``wait`` until it is processed."""
    if route != "direct":
        raise ValueError("expected uploads='direct', as there are no resumable uploads on AWS")
    key = key if key is not None else source.name
    if not key:
        raise ValueError("expected a key for a file without a name, got none")
    started = time.monotonic()
    chosen = _Options(attempts=attempts, **options)
    headers = {
        **condition(overwrite=chosen.overwrite, if_version=chosen.if_version),
        "upload-length": str(source.size),
        "upload-metadata": f"key {b64encode(key.encode()).decode()}",
    }
    stored = yield from _send_all(source, key, headers, chosen)
    if wait is None:
        return stored
    return (yield from wait_for(stored, timeout=wait, started=started))


def _send_all(source: Source, key: str, headers: Mapping[str, str], options: _Options) -> Flow[Upload]:
    """Send what the server lacks, and begin again where it has lost the upload."""
    path, offset = options.resume, None
    failures = 0
    while True:
        try:
            if path is None:
                path, offset = (yield from _begin(headers)), 0
            elif offset is None:
                reply = yield from _head(path, headers)
                offset = _offset(reply)
                if offset == source.size:
                    return _stored(reply, source, key)
            else:
                reply = yield from _append(path, source, (offset, options.chunk_bytes))
                offset, failures = _offset(reply), 0
                if offset == source.size:
                    _tell(options, offset, source, path)
                    return _stored(reply, source, key)
        except ImageProcessorError as error:
            failures += 1
            is_lost = isinstance(error, NotFound) and path is not None
            if failures >= options.attempts or not (is_lost or _may_continue(error)):
                raise
            path, offset = (None if is_lost else path), None
            yield Pause(_pause(error, failures))
        else:
            _tell(options, offset, source, path)


def _tell(options: _Options, offset: int, source: Source, path: str) -> None:
    if options.on_progress is not None:
        options.on_progress(Progress(offset, source.size, path))


def _begin(headers: Mapping[str, str]) -> Flow[str]:
    """Begin an upload. Returns its path."""
    reply = yield from send(Call(method="POST", path=_PATH, headers={**_VERSION, **headers}))
    return urljoin(_PATH, reply.headers["location"])


def _head(path: str, headers: Mapping[str, str]) -> Flow[Reply]:
    """Ask how much has arrived. Raises ValueError if that upload is of another file."""
    reply = yield from send(Call(method="HEAD", path=path, headers=_VERSION))
    for name in ("upload-length", "upload-metadata"):
        if reply.headers.get(name) != headers[name]:
            raise ValueError("expected the file and the key that the upload began with, got others")
    return reply


def _append(path: str, source: Source, part: tuple[int, int]) -> Flow[Reply]:
    headers = {**_VERSION, "content-type": "application/offset+octet-stream", "upload-offset": str(part[0])}
    call = Call(method="PATCH", path=path, headers=headers, source=source, part=part, is_retried=False)
    return (yield from send(call))


def _offset(reply: Reply) -> int:
    return int(reply.headers["upload-offset"])


def _stored(reply: Reply, source: Source, key: str) -> Upload:
    image = reply.headers["content-location"]
    version = reply.headers["etag"].strip('"')
    id_ = image.rpartition("/")[2]
    return Upload(id=id_, key=key, bytes=source.size, version=version, image=image)


def _may_continue(error: ImageProcessorError) -> bool:
    """Whether the server may accept the rest. 409: it has another number of bytes than this client thought;
    423: it still ends an earlier request."""
    return error.retryable or (isinstance(error, ApiError) and error.status in {409, 423})


def _pause(error: ImageProcessorError, failures: int) -> float:
    if isinstance(error, ApiError) and error.retry_after is not None:
        return error.retry_after
    return float(min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE))
