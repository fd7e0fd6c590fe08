"""Routes that store originals on one machine.

A body is streamed into the store, which pulls it chunk by chunk: the client is not read faster than
the disk writes, and the body is never held in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache, partial
from typing import Annotated, Any

from anyio import current_time, fail_after, from_thread
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from image_processor.delivery.http.conditions import may_write
from image_processor.domain.errors import Invalid, NotFound, PreconditionFailed, Reason, Refused
from image_processor.domain.formats import sniff
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import ABSENT, Absent, Attributes, Entry, ObjectStore

from .dependencies import AppContext, ContextOf, RequestedKey, upload_skip_reason
from .problems import errors, skipped
from .schemas import UploadModel
from .work import QueuedWorkOf

SAMPLE_KEY = "sample.jpg"

MAX_LAG_SECONDS = 30.0
"""How far an upload may fall behind MIN_RATE, by silence or by sending too slowly."""

MIN_RATE = 10_000
"""Bytes per second that an upload must send on average: a fifth of a poor mobile connection. Each
upload holds one of a few slots, which a client must not keep by sending next to nothing."""

_TOO_SLOW = f"expected {MIN_RATE} bytes a second and no silence of {MAX_LAG_SECONDS:g} seconds, got less"

router = APIRouter(tags=["uploads"])

_STORED: dict[int | str, dict[str, Any]] = {
    200: {"model": UploadModel, "description": "The upload replaced an original."},
    201: {"description": "The original is new."},
}

_ANY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file's bytes.",
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Preconditions(Struct, frozen=True):
    """The conditional headers of an upload, by lower-case names: they keep one client from overwriting
    what another has stored."""

    headers: Mapping[str, str]

    def condition_for(self, key: str, current: Entry | None) -> str | Absent | None:
        """The store's condition for the write, so that ``current`` is still what the key holds then;
        None without conditional headers. Raises HTTPException(412) if they already fail."""
        if not self.headers:
            return None
        version = current.version if current else None
        if not may_write(self.headers, version):
            expected = ", ".join(f"{name.title()}: {value}" for name, value in self.headers.items())
            got = f'version "{version}"' if version else "no object"
            raise HTTPException(412, f"expected {expected} for {key!r}, got {got}")
        return ABSENT if version is None else version


async def _preconditions(
    if_match: Annotated[
        str | None,
        Header(
            description='`"VERSION"` replaces only this version; `*` replaces any version and never creates.'
        ),
    ] = None,
    if_none_match: Annotated[str | None, Header(description="`*` creates and never replaces.")] = None,
) -> Preconditions:
    headers = {"if-match": if_match, "if-none-match": if_none_match}
    return Preconditions({name: value for name, value in headers.items() if value is not None})


class UploadBody:
    """The chunks of an upload, with a limit on how slowly the client may send them.

    Bytes beyond MIN_RATE make up for lost time, but never raise the allowance above MAX_LAG_SECONDS.
    Only the time spent waiting for the client counts, not that of a slow disk.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._seconds_left = MAX_LAG_SECONDS

    async def next(self) -> bytes:
        """The next chunk, empty at the end. Raises TimeoutError if the client is too slow."""
        started = current_time()
        with fail_after(self._seconds_left):
            chunk = await anext(self._chunks, b"")
        self._seconds_left += len(chunk) / MIN_RATE - (current_time() - started)
        self._seconds_left = min(self._seconds_left, MAX_LAG_SECONDS)
        return chunk

    def from_thread(self, first: bytes) -> Iterator[bytes]:
        """Yield ``first`` and the chunks after it to a worker thread, and raise there what ends the
        body early."""
        chunk = first
        while chunk:
            yield chunk
            chunk = from_thread.run(self.next)


@router.put(
    "/uploads/{key:key}",
    status_code=201,
    responses={**_STORED, **errors(400, 403, 408, 412, 413, 422, 503, 507)},
    openapi_extra=_ANY_BODY,
)
async def put_upload(
    request: Request,
    response: Response,
    key: RequestedKey,
    preconditions: Annotated[Preconditions, Depends(_preconditions)],
    context: ContextOf,
    work: QueuedWorkOf,
) -> UploadModel:
    """Store the body as an original and queue it. Only the content decides whether it is an image.

    It replaces what the key holds, unless `If-Match` or `If-None-Match` says otherwise. The
    response's ETag is the `version` for a later `If-Match`.
    """
    if reason := upload_skip_reason(key, context):
        return skipped(key, reason)  # type: ignore[return-value]  # FastAPI sends a Response as it is
    limit = context.settings.limits.max_bytes
    _check_whole(request)
    _check_length(request, limit)
    current = await run_in_threadpool(_entry, context.uploads, key)
    condition = preconditions.condition_for(key, current)
    body = UploadBody(request.stream())
    try:
        first = await body.next()
        if not first:
            raise Refused(Reason.EMPTY, "the upload has no bytes")
        chunks, attributes = body.from_thread(first), _attributes(first)
        put = partial(context.uploads.put_stream, key, chunks, attributes, limit=limit, condition=condition)
        entry = await work.receive(put)
    except ClientDisconnect:
        return Response(status_code=400)  # type: ignore[return-value]  # nobody reads it
    except TimeoutError:
        raise HTTPException(408, _TOO_SLOW) from None
    except PreconditionFailed as error:  # it held when the request arrived, but no longer
        raise HTTPException(412, str(error)) from None
    work.submit(UploadKind.CREATED, key, entry.version)
    return _stored(response, context, entry, new=current is None)


@router.post("/samples", status_code=201, responses={**_STORED, **errors(403, 422, 503, 507)})
async def post_sample(response: Response, context: ContextOf, work: QueuedWorkOf) -> UploadModel:
    """Draw a sample image, store it as `sample.jpg` and queue it. An existing `sample.jpg` is kept."""
    if reason := upload_skip_reason(SAMPLE_KEY, context):
        return skipped(SAMPLE_KEY, reason)  # type: ignore[return-value]  # as above
    async with work.sample_lock:  # drawing takes a second: concurrent requests wait for one drawing
        entry, new = await run_in_threadpool(_store_sample, context.uploads)
    work.submit(UploadKind.CREATED, SAMPLE_KEY, entry.version)
    return _stored(response, context, entry, new=new)


def _store_sample(uploads: ObjectStore) -> tuple[Entry, bool]:
    """The sample's entry, drawn and stored only if there is none; and whether it is new."""
    if entry := _entry(uploads, SAMPLE_KEY):
        return entry, False
    try:
        return uploads.put(SAMPLE_KEY, _sample(), Attributes(media_type="image/jpeg"), condition=ABSENT), True
    except PreconditionFailed:  # another client has stored that key meanwhile
        return uploads.head(SAMPLE_KEY).entry, False


@cache
def _sample() -> bytes:
    from image_processor.engine.sample import draw_sample  # noqa: PLC0415 - libvips takes 5 MB

    return draw_sample()


def _entry(uploads: ObjectStore, key: str) -> Entry | None:
    try:
        return uploads.head(key).entry
    except NotFound:
        return None


def _stored(response: Response, context: AppContext, entry: Entry, *, new: bool) -> UploadModel:
    upload = UploadModel.of(context.bucket, entry)
    response.status_code = 201 if new else 200
    response.headers["location"] = upload.image
    response.headers["etag"] = f'"{entry.version}"'
    return upload


def _check_whole(request: Request) -> None:
    """Refuse a part of a file, which would be stored as the whole (RFC 9110, 14.5)."""
    part = request.headers.get("content-range")
    if part is not None:
        raise Invalid.one("Content-Range", "no such header, as a file is stored as a whole", part)


def _check_length(request: Request, limit: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {length}")


def _attributes(first: bytes) -> Attributes:
    format_ = sniff(first)
    return Attributes(media_type=format_.media_type) if format_ else Attributes()
