"""HTTP edge: renditions go out. What to answer is decided in delivery; here it is only sent."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from image_processor.delivery.deliver import answer
from image_processor.errors import PreconditionFailed, Unavailable
from image_processor.ports import StoredObject

from .openapi import errors
from .parts import Parts, PartsOf
from .problems import of_status
from .requested_key import RequestedKey

router = APIRouter(tags=["renditions"])
_ATTEMPTS = 3


@router.head("/renditions/{key:key}", include_in_schema=False)
@router.get(
    "/renditions/{key:key}",
    response_class=Response,
    responses={
        200: {"description": "The rendition.", "content": {"image/*": {}}},
        206: {"description": "The part of it that Range asked for.", "content": {"image/*": {}}},
        304: {"description": "The client's copy is good."},
        **errors(400, 404, 412, 416, 503),
    },
)
def get_rendition(request: Request, key: RequestedKey, parts: PartsOf) -> Response:
    """A rendition, with ETag, conditional requests and single ranges (RFC 9110)."""
    for _ in range(_ATTEMPTS):
        stored = parts.processed.head(key)
        try:
            return _send(request, stored, parts)
        except PreconditionFailed:  # written anew between the look and the read
            continue
    raise Unavailable(f"{key!r} changes too fast to be read")


def _send(request: Request, stored: StoredObject, parts: Parts) -> Response:
    decided = answer(
        request.method, dict(request.headers), stored, cache_control=parts.settings.cache_control
    )
    if decided.status >= 400:
        return of_status(decided.status, headers=decided.headers)
    if decided.body is None:
        return Response(status_code=decided.status, headers=dict(decided.headers))
    chunks: Iterator[bytes] = parts.processed.read(
        stored.entry.key, decided.body.start, decided.body.stop, version=stored.entry.version
    )
    return StreamingResponse(chunks, decided.status, decided.headers)
