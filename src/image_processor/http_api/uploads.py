"""HTTP edge: originals come in. A body is streamed into the store, which pulls it chunk by chunk:
the client is never read faster than the disk writes, and nothing is held.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

from anyio import fail_after, from_thread, to_thread
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from image_processor.engine.sample import draw_sample
from image_processor.errors import PreconditionFailed, Reason, Refused
from image_processor.formats import sniff
from image_processor.model import Kind
from image_processor.ports import ABSENT, Attributes, Entry

from .openapi import ANY_BODY, errors
from .parts import Parts, PartsOf
from .queued_work import QueuedWorkOf
from .requested_key import RequestedKey
from .views import UploadView

SAMPLE_KEY = "sample.jpg"
SILENCE = 30.0
"""So many seconds a client may send nothing before its upload is given up."""

router = APIRouter(tags=["uploads"])


@router.put(
    "/uploads/{key:key}",
    status_code=201,
    responses=errors(400, 403, 408, 413, 422, 503),
    openapi_extra=ANY_BODY,
)
async def put_upload(
    request: Request, response: Response, key: RequestedKey, parts: PartsOf, work: QueuedWorkOf
) -> UploadView:
    """Store the body as an original and queue it. Only the content decides whether it is an image."""
    limit = parts.settings.limits.max_bytes
    _check_length(request, limit)
    body = request.stream()
    try:
        first = await _next(body)
        if not first:
            raise Refused(Reason.EMPTY, "the upload has no bytes")
        put = partial(parts.uploads.put_stream, key, _chunks(first, body), _attributes(first), limit=limit)
        entry = await to_thread.run_sync(put, limiter=work.uploading)
    except ClientDisconnect:
        return Response(status_code=400)  # type: ignore[return-value]  # nobody is there to read it
    except TimeoutError:
        raise HTTPException(408, f"expected the next bytes within {SILENCE:g} seconds, got none") from None
    work.submit(Kind.CREATED, key, entry.version)
    return _stored(response, parts, entry)


@router.post("/samples", status_code=201, responses=errors(403, 503))
def post_sample(response: Response, parts: PartsOf, work: QueuedWorkOf) -> UploadView:
    """Draw a sample picture, store it and queue it. A `sample.jpg` that is there already stays."""
    try:
        entry = parts.uploads.put(
            SAMPLE_KEY, draw_sample(), Attributes(media_type="image/jpeg"), condition=ABSENT
        )
    except PreconditionFailed:
        entry = parts.uploads.head(SAMPLE_KEY).entry
    work.submit(Kind.CREATED, SAMPLE_KEY, entry.version)
    return _stored(response, parts, entry)


def _stored(response: Response, parts: Parts, entry: Entry) -> UploadView:
    view = UploadView.of(parts.bucket, entry)
    response.headers["location"] = view.image
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
