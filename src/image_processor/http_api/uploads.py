"""HTTP edge: originals come in. A body is streamed into the store, which pulls it chunk by chunk:
the client is never read faster than the disk writes, and nothing is held.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from functools import cache, partial
from typing import Any

from anyio import fail_after, from_thread, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from image_processor.engine.sample import draw_sample
from image_processor.errors import NotFound, PreconditionFailed, Reason, Refused
from image_processor.formats import sniff
from image_processor.model import Kind
from image_processor.ports import ABSENT, Attributes, Entry, ObjectStore

from .openapi import ANY_BODY, errors
from .parts import Parts, PartsOf
from .preconditions import PreconditionsOf
from .problems import skipped
from .queued_work import QueuedWorkOf
from .requested_key import RequestedKey
from .views import UploadView
from .wanted import skip_reason

SAMPLE_KEY = "sample.jpg"
SILENCE = 30.0
"""So many seconds a client may send nothing before its upload is given up."""

router = APIRouter(tags=["uploads"])

_STORED: dict[int | str, dict[str, Any]] = {
    200: {"model": UploadView, "description": "The key held an original when the request came."},
    201: {"description": "The key held none."},
}
_drawing = threading.Lock()


@router.put(
    "/uploads/{key:key}",
    status_code=201,
    responses={**_STORED, **errors(400, 403, 408, 412, 413, 422, 503)},
    openapi_extra=ANY_BODY,
)
async def put_upload(
    request: Request,
    response: Response,
    key: RequestedKey,
    preconditions: PreconditionsOf,
    parts: PartsOf,
    work: QueuedWorkOf,
) -> UploadView:
    """Store the body as an original and queue it. Only the content decides whether it is an image.

    It replaces what the key holds, unless `If-Match` or `If-None-Match` says otherwise. The
    answer's ETag is the `version` for a later `If-Match`.
    """
    if why := skip_reason(key, parts):
        return skipped(key, why)  # type: ignore[return-value]  # FastAPI sends it as it is
    limit = parts.settings.limits.max_bytes
    _check_length(request, limit)
    current = await run_in_threadpool(_current, parts.uploads, key)
    condition = preconditions.on(key, current)
    body = request.stream()
    try:
        first = await _next(body)
        if not first:
            raise Refused(Reason.EMPTY, "the upload has no bytes")
        chunks, attributes = _chunks(first, body), _attributes(first)
        put = partial(parts.uploads.put_stream, key, chunks, attributes, limit=limit, condition=condition)
        entry = await to_thread.run_sync(put, limiter=work.uploading)
    except ClientDisconnect:
        return Response(status_code=400)  # type: ignore[return-value]  # nobody is there to read it
    except TimeoutError:
        raise HTTPException(408, f"expected the next bytes within {SILENCE:g} seconds, got none") from None
    except PreconditionFailed as error:  # it held when the request came, and no longer
        raise HTTPException(412, str(error)) from None
    work.submit(Kind.CREATED, key, entry.version)
    return _stored(response, parts, entry, new=current is None)


@router.post("/samples", status_code=201, responses={**_STORED, **errors(403, 422, 503)})
def post_sample(response: Response, parts: PartsOf, work: QueuedWorkOf) -> UploadView:
    """Draw a sample picture, store it and queue it. A `sample.jpg` that is there already stays."""
    if why := skip_reason(SAMPLE_KEY, parts):
        return skipped(SAMPLE_KEY, why)  # type: ignore[return-value]  # as above
    with _drawing:  # it takes seconds: whoever comes meanwhile waits for the same picture
        body = _sample()
    new = True
    try:
        entry = parts.uploads.put(SAMPLE_KEY, body, Attributes(media_type="image/jpeg"), condition=ABSENT)
    except PreconditionFailed:
        entry, new = parts.uploads.head(SAMPLE_KEY).entry, False
    work.submit(Kind.CREATED, SAMPLE_KEY, entry.version)
    return _stored(response, parts, entry, new=new)


@cache
def _sample() -> bytes:
    return draw_sample()


def _current(uploads: ObjectStore, key: str) -> Entry | None:
    try:
        return uploads.head(key).entry
    except NotFound:
        return None


def _stored(response: Response, parts: Parts, entry: Entry, *, new: bool) -> UploadView:
    view = UploadView.of(parts.bucket, entry)
    response.status_code = 201 if new else 200
    response.headers["location"] = view.image
    response.headers["etag"] = f'"{entry.version}"'
    return view


def _check_length(request: Request, limit: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {length}")


def _attributes(first: bytes) -> Attributes:
    format_ = sniff(first)
    return Attributes(media_type=format_.media_type) if format_ else Attributes()


def _chunks(first: bytes, body: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The body for a thread that asks for it; whatever ends the body early is raised there."""
    chunk = first
    while chunk:
        yield chunk
        chunk = from_thread.run(_next, body)


async def _next(body: AsyncIterator[bytes]) -> bytes:
    """The next bytes, none at the end."""
    with fail_after(SILENCE):
        return await anext(body, b"")
