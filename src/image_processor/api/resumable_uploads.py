"""Routes for uploads that continue after an interruption: the tus protocol.

An upload is created with its length and its key, then its bytes are appended. With the last one the original
is stored as `PUT /uploads/{key}` stores it: atomically, under the conditions of the creation, and queued.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from email.utils import format_datetime
from functools import partial
from typing import Annotated

from anyio import CancelScope, Event, fail_after
from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from msgspec import Struct
from starlette.exceptions import HTTPException

from image_processor.domain.errors import (
    Invalid,
    PreconditionFailed,
    Reason,
    Refused,
    Unavailable,
)
from image_processor.domain.hashing import sha256_of
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import Entry, ObjectStore
from image_processor.standalone.resumable_uploads import Checksum, ResumableUpload, ResumableUploads

from .access_guard import client_of
from .dependencies import StandaloneContext, StandaloneContextOf, upload_skip_reason
from .multipart import Chunks, file_key
from .problems import errors, skipped
from .resumable_path import RESUMABLE_PATH
from .tus import BODY_TYPE, VERSION, capabilities, parse_checksum, parse_metadata, parse_number
from .uploads import (
    Preconditions,
    PreconditionsOf,
    UploadBody,
    client_errors,
    entry_of,
    in_thread,
    sniffed_attributes,
)
from .work import QueuedWork, QueuedWorkOf, in_own_thread

router = APIRouter(tags=["uploads"])

LOCK_SECONDS = 30.0
"""How long a request waits for the lock of an upload that an earlier request holds."""

_LIMITED = (400, 403, 404, 409, 412, 413, 415, 422, 423, 503, 507)


class UploadLock:
    """The lock of one upload, held by the request that sends ``body``."""

    def __init__(self, body: Chunks) -> None:
        self.released = Event()
        self._body = body
        self._scope = CancelScope()
        self._is_interrupted = False

    def interrupt(self) -> None:
        """End the body: the client has sent another request, so this connection is dead although the system
        has not noticed."""
        self._is_interrupted = True
        self._scope.cancel()

    async def next(self) -> bytes:
        """The next chunk. Raises HTTPException(409) if the lock was interrupted, Unavailable if the client is
        too slow, and what the body raises."""
        if not self._is_interrupted:
            try:
                with CancelScope() as self._scope:
                    return await self._body.next()
            except TimeoutError:
                # Clients continue after a 503, and not after a 408.
                raise Unavailable(
                    "expected more bytes, got too few; continue at the offset that HEAD returns"
                ) from None
        raise HTTPException(409, "expected one request at a time for an upload, got a later one")


class UploadLocks:
    """Lets one request at a time work on each upload. A later request interrupts the one that holds the lock.

    Used in the event loop only.
    """

    def __init__(self) -> None:
        self._held: dict[str, UploadLock] = {}

    @asynccontextmanager
    async def acquire(self, id_: str, body: Chunks) -> AsyncIterator[UploadLock]:
        """Raises HTTPException(423) if the earlier request does not release the lock."""
        try:
            with fail_after(LOCK_SECONDS):
                while earlier := self._held.get(id_):
                    earlier.interrupt()
                    await earlier.released.wait()
        except TimeoutError:
            raise HTTPException(423, "another request works on this upload; try again") from None
        lock = self._held[id_] = UploadLock(body)
        try:
            yield lock
        finally:
            del self._held[id_]
            lock.released.set()


async def _check_version(
    tus_resumable: Annotated[
        str | None, Header(description="The version of the protocol.", examples=[VERSION])
    ] = None,
) -> None:
    if tus_resumable != VERSION:
        got = "nothing" if tus_resumable is None else repr(tus_resumable)
        message = f"expected {VERSION} for Tus-Resumable, got {got}"
        raise HTTPException(412, message, {"tus-version": VERSION})


class _Call(Struct, frozen=True):
    """What the routes work with."""

    request: Request
    context: StandaloneContext
    work: QueuedWork

    @property
    def uploads(self) -> ResumableUploads:
        return self.context.resumable_uploads

    @property
    def locks(self) -> UploadLocks:
        locks: UploadLocks = self.request.app.state.upload_locks
        return locks

    @property
    def client(self) -> str:
        return client_of(self.request.scope)

    @property
    def media_type(self) -> str:
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _call(request: Request, context: StandaloneContextOf, work: QueuedWorkOf) -> _Call:
    return _Call(request, context, work)


_CallOf = Annotated[_Call, Depends(_call)]
_UploadId = Annotated[str, Path(description="The last part of the upload's address.")]
_Offset = Annotated[str | None, Header(description="Bytes that have arrived.", examples=["0"])]
_Checksum = Annotated[
    str | None, Header(description="`sha1` or `sha256`, a space, and the body's digest in base64.")
]
_VERSION_CHECK = [Depends(_check_version)]


@router.options(RESUMABLE_PATH, status_code=204)
def get_resumable_options(context: StandaloneContextOf) -> Response:
    """Return what the server can do: version, extensions and limits of tus."""
    return Response(None, 204, dict(capabilities(context.settings.limits.max_bytes)))


@router.post(
    RESUMABLE_PATH,
    status_code=201,
    dependencies=_VERSION_CHECK,
    response_class=Response,
    responses=errors(*_LIMITED),
)
async def create_resumable_upload(
    call: _CallOf,
    preconditions: PreconditionsOf,
    upload_length: Annotated[
        str | None, Header(description="Bytes of the file.", examples=["1048576"])
    ] = None,
    upload_metadata: Annotated[
        str,
        Header(description="`key` or `filename`, each with its value in base64.", examples=["key YS5qcGc="]),
    ] = "",
    upload_checksum: _Checksum = None,
) -> Response:
    """Begin an upload that can be continued after an interruption, by tus. `Location` is where its bytes go.

    The metadata `key` names the original; `${filename}` in it is the metadata `filename`, which is the key
    without it. `If-None-Match` and `If-Match` hold when the upload begins and when it is complete. A body of
    the type application/offset+octet-stream has its first bytes.
    """
    fields = parse_metadata(upload_metadata)
    key = check_key(file_key(fields, fields.get("filename", "")))
    checksum = parse_checksum(upload_checksum)
    length = _length(call, upload_length)
    if reason := upload_skip_reason(key, call.context):
        return skipped(key, reason)
    current = await run_in_threadpool(entry_of, call.context.uploads, key)
    preconditions.condition_for(key, current)
    upload = await run_in_threadpool(
        call.uploads.create, key, length, upload_metadata, dict(preconditions.headers), call.client
    )
    headers = {"location": f"{RESUMABLE_PATH[1:]}/{upload.id}"}
    if call.media_type == BODY_TYPE:
        upload = await _append(call, upload.id, 0, checksum)
        headers["upload-offset"] = str(await run_in_threadpool(call.uploads.offset, upload))
    return Response(None, 201, headers | _headers(call, upload))


@router.head(
    f"{RESUMABLE_PATH}/{{upload_id}}",
    dependencies=_VERSION_CHECK,
    response_class=Response,
    responses=errors(403, 404, 412, 422, 423, 503, 507),
)
async def get_resumable_upload(upload_id: _UploadId, call: _CallOf) -> Response:
    """Return how much of an upload has arrived, in `Upload-Offset`."""
    async with client_errors(), call.locks.acquire(upload_id, UploadBody(call.request.stream())):
        upload = await run_in_threadpool(call.uploads.find, upload_id)
        if await _is_to_be_stored(call, upload):
            async with call.work.upload_slot(call.client):
                upload = await _store_complete(call, upload)
        offset = await run_in_threadpool(call.uploads.offset, upload)
    headers = {
        "upload-offset": str(offset),
        "upload-length": str(upload.length),
        "cache-control": "no-store",
        **({"upload-metadata": upload.metadata} if upload.metadata else {}),
    }
    return Response(None, 200, headers | _headers(call, upload))


@router.patch(
    f"{RESUMABLE_PATH}/{{upload_id}}",
    status_code=204,
    dependencies=_VERSION_CHECK,
    response_class=Response,
    responses=errors(*_LIMITED),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def append_to_resumable_upload(
    upload_id: _UploadId, call: _CallOf, upload_offset: _Offset = None, upload_checksum: _Checksum = None
) -> Response:
    """Append bytes at `Upload-Offset`, which must be what has arrived. What arrives of a broken request is
    kept, unless it has a checksum. After the last byte the original is stored and queued:
    `Content-Location` is its image, `ETag` its version.
    """
    if call.media_type != BODY_TYPE:
        raise HTTPException(415, f"expected {BODY_TYPE} for Content-Type, got {call.media_type or 'nothing'}")
    offset, checksum = parse_number("Upload-Offset", upload_offset), parse_checksum(upload_checksum)
    upload = await _append(call, upload_id, offset, checksum)
    received = await run_in_threadpool(call.uploads.offset, upload)
    return Response(None, 204, {"upload-offset": str(received)} | _headers(call, upload))


@router.delete(
    f"{RESUMABLE_PATH}/{{upload_id}}",
    status_code=204,
    dependencies=_VERSION_CHECK,
    response_class=Response,
    responses=errors(403, 404, 412, 423, 503),
)
async def delete_resumable_upload(upload_id: _UploadId, call: _CallOf) -> Response:
    """Give up an upload and delete the bytes that have arrived. A stored original stays."""
    async with call.locks.acquire(upload_id, UploadBody(call.request.stream())):
        upload = await run_in_threadpool(call.uploads.find, upload_id)
        await run_in_threadpool(call.uploads.delete, upload)
    return Response(None, 204)


def _length(call: _Call, text: str | None) -> int:
    """The length of a new upload. Raises Invalid, Refused."""
    parts = call.request.headers.get("upload-concat")
    if parts is not None:
        raise Invalid.one("Upload-Concat", "no such header, as a file is one upload", parts)
    length, limit = parse_number("Upload-Length", text), call.context.settings.limits.max_bytes
    if length == 0:
        raise Refused(Reason.EMPTY, "the upload has no bytes")
    if length > limit:
        raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {length}")
    return length


def _headers(call: _Call, upload: ResumableUpload) -> dict[str, str]:
    """What every response about an upload has."""
    headers = {"upload-expires": format_datetime(call.uploads.expires_at(upload), usegmt=True)}
    if upload.version is not None:
        headers["etag"] = f'"{upload.version}"'
        headers["content-location"] = f"/images/{image_id(call.context.bucket, upload.key)}"
    return headers


async def _append(call: _Call, id_: str, offset: int, checksum: Checksum | None) -> ResumableUpload:
    """Append the body, and store the original if that was its last byte."""
    body = UploadBody(call.request.stream())
    async with client_errors(), call.locks.acquire(id_, body) as lock:
        upload = await run_in_threadpool(call.uploads.find, id_)
        received = await run_in_threadpool(call.uploads.offset, upload)
        if offset != received:
            raise HTTPException(409, f"expected {received} for Upload-Offset, got {offset}")
        _check_length(call.request, upload, offset)
        if upload.version is not None:
            return upload
        first = await lock.next()
        append = partial(call.uploads.append, upload, in_thread(lock, first), checksum)
        async with call.work.upload_slot(call.client):
            upload = await in_own_thread(append)
            # In the same slot: a file of which all has arrived does not wait behind others.
            return await _store_complete(call, upload) if await _is_to_be_stored(call, upload) else upload


def _check_length(request: Request, upload: ResumableUpload, offset: int) -> None:
    """Refuse what is too large before it is sent."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and offset + int(length) > upload.length:
        raise Invalid.one("Content-Length", f"at most the missing {upload.length - offset} bytes", length)


async def _is_to_be_stored(call: _Call, upload: ResumableUpload) -> bool:
    """Whether all bytes of an upload have arrived, and the store does not have them."""
    return upload.version is None and await run_in_threadpool(call.uploads.offset, upload) >= upload.length


async def _store_complete(call: _Call, upload: ResumableUpload) -> ResumableUpload:
    """Store an upload of which all bytes have arrived, and queue the original. The caller holds an upload
    slot.

    An upload that can never be stored is deleted, so that no client takes it for a stored one.
    """
    try:
        entry = await in_own_thread(lambda: _store(call.context, upload))
    except (PreconditionFailed, Refused, Invalid):
        await run_in_threadpool(call.uploads.delete, upload)
        raise
    call.work.submit(UploadKind.CREATED, upload.key, entry.version)
    return await run_in_threadpool(call.uploads.mark_stored, upload, entry.version)


def _store(context: StandaloneContext, upload: ResumableUpload) -> Entry:
    """Raises PreconditionFailed if the conditions of the creation do not hold any more."""
    store, parts = context.uploads, context.resumable_uploads
    current = entry_of(store, upload.key)
    first = next(parts.read(upload))
    try:
        condition = Preconditions(upload.conditions).condition_for(upload.key, current)
        return store.put_stream(
            upload.key,
            parts.read(upload),
            sniffed_attributes(first),
            limit=upload.length,
            condition=condition,
        )
    except (HTTPException, PreconditionFailed) as error:
        # A server that was killed may have stored it, and not have noted that.
        current = entry_of(store, upload.key)
        if current and _is_same(store, current, parts.read(upload), upload.length):
            return current
        raise PreconditionFailed(str(getattr(error, "detail", error))) from None


def _is_same(store: ObjectStore, entry: Entry, chunks: Iterable[bytes], length: int) -> bool:
    """Whether a stored object has the bytes of ``chunks``."""
    if entry.size != length:
        return False
    stored = store.read(entry.key, 0, entry.size, version=entry.version)
    # Not chunk by chunk: a store may divide the same bytes in another way.
    return sha256_of(stored) == sha256_of(chunks)
