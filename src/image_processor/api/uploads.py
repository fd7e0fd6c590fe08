"""HTTP edge: originals come in. A body is streamed into the store, which pulls it chunk by chunk:
the client is never read faster than the disk writes, and nothing is held.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from image_processor.domain.errors import NotFound, PreconditionFailed, Reason, Refused
from image_processor.domain.formats import sniff
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import ABSENT, Attributes, Entry, ObjectStore
from image_processor.engine.sample import draw_sample

from .dependencies import Parts, PartsOf
from .openapi import ANY_BODY, errors
from .preconditions import PreconditionsOf
from .problems import skipped
from .queued_work import QueuedWorkOf
from .requested_key import RequestedKey
from .schemas import UploadView
from .upload_body import MIN_RATE, PATIENCE, UploadBody
from .wanted import upload_skip_reason

SAMPLE_KEY = "sample.jpg"
_TOO_SLOW = f"expected {MIN_RATE} bytes a second and no silence of {PATIENCE:g} seconds, got less"

router = APIRouter(tags=["uploads"])

_STORED: dict[int | str, dict[str, Any]] = {
    200: {"model": UploadView, "description": "The key held an original when the request came."},
    201: {"description": "The key held none."},
}


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
    if why := upload_skip_reason(key, parts):
        return skipped(key, why)  # type: ignore[return-value]  # FastAPI sends it as it is
    limit = parts.settings.limits.max_bytes
    _check_length(request, limit)
    current = await run_in_threadpool(_current, parts.uploads, key)
    condition = preconditions.on(key, current)
    body = UploadBody(request.stream())
    try:
        first = await body.next()
        if not first:
            raise Refused(Reason.EMPTY, "the upload has no bytes")
        chunks, attributes = body.from_thread(first), _attributes(first)
        put = partial(parts.uploads.put_stream, key, chunks, attributes, limit=limit, condition=condition)
        entry = await work.receive(put)
    except ClientDisconnect:
        return Response(status_code=400)  # type: ignore[return-value]  # nobody is there to read it
    except TimeoutError:
        raise HTTPException(408, _TOO_SLOW) from None
    except PreconditionFailed as error:  # it held when the request came, and no longer
        raise HTTPException(412, str(error)) from None
    work.submit(UploadKind.CREATED, key, entry.version)
    return _stored(response, parts, entry, new=current is None)


@router.post("/samples", status_code=201, responses={**_STORED, **errors(403, 422, 503)})
async def post_sample(response: Response, parts: PartsOf, work: QueuedWorkOf) -> UploadView:
    """Draw a sample picture, store it and queue it. A `sample.jpg` that is there already stays."""
    if why := upload_skip_reason(SAMPLE_KEY, parts):
        return skipped(SAMPLE_KEY, why)  # type: ignore[return-value]  # as above
    async with work.drawing:  # it takes a second: whoever comes meanwhile waits for the same picture
        entry, new = await run_in_threadpool(_sample, parts.uploads)
    work.submit(UploadKind.CREATED, SAMPLE_KEY, entry.version)
    return _stored(response, parts, entry, new=new)


def _sample(uploads: ObjectStore) -> tuple[Entry, bool]:
    """The sample's entry, drawn and stored only if there is none; whether it is new."""
    if entry := _current(uploads, SAMPLE_KEY):
        return entry, False
    try:
        return uploads.put(SAMPLE_KEY, _drawn(), Attributes(media_type="image/jpeg"), condition=ABSENT), True
    except PreconditionFailed:  # somebody has stored a file of that name meanwhile
        return uploads.head(SAMPLE_KEY).entry, False


@cache
def _drawn() -> bytes:
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
