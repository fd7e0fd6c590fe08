"""Routes that serve renditions on one machine, rendered first if they are not stored.

`delivery` decides what to answer; this module reads the bytes and waits for the render pool.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Path, Request
from fastapi.responses import Response, StreamingResponse
from msgspec import Struct

from image_processor.delivery.http.headers import cors_headers, preflight_headers
from image_processor.delivery.http.response import ResponseHead
from image_processor.delivery.read_path import Lookup
from image_processor.delivery.request import HttpRequest
from image_processor.domain.errors import (
    ImageProcessorError,
    NotFound,
    PreconditionFailed,
    Refused,
    Unavailable,
)
from image_processor.standalone.remote_originals import OriginalPending
from image_processor.standalone.render_coordinator import MetadataPending

from .dependencies import ANY_PATH, StandaloneContext, StandaloneContextOf
from .error_status import MEDIA_TYPE, error_response
from .hit_cache import MAX_BUFFERED, HitCache, StoredHit
from .problems import errors, of_status
from .work import QueuedWork, QueuedWorkOf

router = APIRouter(tags=["renditions"])
ROOT = "/renditions/"
_PATH = ROOT + ANY_PATH

_ATTEMPTS = 5


def path_below_root(target: bytes) -> str | None:
    """The path and query of an undecoded target as delivery reads them; None if it is not below ROOT."""
    text = target.decode("latin-1")
    return text.removeprefix(ROOT) if text.startswith(ROOT) else None


async def _http_request(request: Request) -> HttpRequest:
    """The request as delivery reads it: the undecoded path below ROOT."""
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    path = path.removeprefix(ROOT) if path.startswith(ROOT) else path[1:]
    return HttpRequest(request.method, path, query, request.headers)


HttpRequestOf = Annotated[HttpRequest, Depends(_http_request)]


class _Memory(Struct, frozen=True):
    """Where the hit for one request is remembered: ``target`` is its undecoded path and query."""

    hits: HitCache
    target: bytes


async def _memory(request: Request) -> _Memory | None:
    hits: HitCache | None = request.app.state.hits
    query = request.scope["query_string"]
    target = request.scope["raw_path"] + (b"?" + query if query else b"")
    return _Memory(hits, target) if hits is not None else None


_MemoryOf = Annotated[_Memory | None, Depends(_memory)]


@router.options(_PATH, include_in_schema=False)
def preflight(key: str, context: StandaloneContextOf) -> Response:
    """Answer a CORS preflight (Fetch standard): whether pages of other sites may read renditions."""
    del key  # the answer is the same for all
    headers = preflight_headers(context.settings.cors_origin)
    if headers is None:
        return of_status(405, headers={"allow": "GET, HEAD"})
    return Response(status_code=204, headers=headers)


@router.head(_PATH, include_in_schema=False)
@router.get(
    _PATH,
    response_class=Response,
    responses={
        200: {"description": "The rendition.", "content": {"image/*": {}}},
        206: {"description": "The requested range of it.", "content": {"image/*": {}}},
        304: {"description": "The client's copy is current."},
        **errors(400, 403, 404, 412, 413, 415, 416, 422, 501, 503),
    },
)
async def get_rendition(
    key: Annotated[
        str,
        Path(
            description="A rendition's key, or an original's with a transformation in the query, such as "
            "`?w=640&fm=auto`: docs/urls.md.",
            examples=["photos/cat.jpg/w=640,fm=avif.avif"],
        ),
    ],
    http_request: HttpRequestOf,
    context: StandaloneContextOf,
    work: QueuedWorkOf,
    memory: _MemoryOf,
) -> Response:
    """Return a rendition, with ETag, conditional requests and single ranges (RFC 9110)."""
    del key  # http_request has it undecoded
    try:
        return await _serve(http_request, context, work, memory)
    except ImageProcessorError as error:
        return _error(http_request, error, context)


def mount_catch_all(app: FastAPI) -> None:
    """Serve every path that no other route matches as a rendition: URLs of other products have no
    common prefix."""
    app.add_api_route("/" + ANY_PATH, get_rendition, methods=["GET", "HEAD"], include_in_schema=False)


async def _serve(
    http_request: HttpRequest, context: StandaloneContext, work: QueuedWork, memory: _Memory | None
) -> Response:
    metadata_error: NotFound | Refused | None = None
    for _ in range(_ATTEMPTS):
        try:
            return await _attempt(http_request, context, work, memory, metadata_error)
        except MetadataPending as pending:
            metadata_error = await _metadata_error(pending, work) or metadata_error
        except OriginalPending as pending:
            await work.done(pending.future)
        except PreconditionFailed:  # replaced between the lookup and the read
            continue
    raise Unavailable("it changes too fast to be read")


async def _attempt(
    http_request: HttpRequest,
    context: StandaloneContext,
    work: QueuedWork,
    memory: _Memory | None,
    metadata_error: NotFound | Refused | None,
) -> Response:
    """The loop of `Delivery.serve`, with I/O in threads and rendering awaited from the render pool."""
    lookup = await to_thread.run_sync(_find, http_request, context, memory, metadata_error)
    if isinstance(lookup, _Found):
        if memory is not None and lookup.hit is not None:
            memory.hits.add(memory.target, lookup.hit)
        return lookup.response
    while True:
        try:
            lookup = lookup.rendered(await work.missing_rendition(lookup.ref))
        except ImageProcessorError as error:
            lookup = await to_thread.run_sync(context.delivery.recover, lookup, error)
        if lookup.stored is None:
            continue
        if lookup.stored.body:  # nothing is read
            return _response(http_request, lookup, context)
        return await to_thread.run_sync(_response, http_request, lookup, context)


async def _metadata_error(pending: MetadataPending, work: QueuedWork) -> NotFound | Refused | None:
    """Wait until a header has been read. None if it was read, or if the original has changed since."""
    try:
        await work.done(pending.future)
    except (NotFound, Refused) as error:
        return error
    except PreconditionFailed:
        pass
    return None


class _Found(Struct, frozen=True):
    """The response with a stored rendition, and what later requests are answered with."""

    response: Response
    hit: StoredHit | None


def _find(
    http_request: HttpRequest,
    context: StandaloneContext,
    memory: _Memory | None,
    metadata_error: NotFound | Refused | None,
) -> _Found | Lookup:
    """The response if the rendition is stored, else what has to be rendered. Runs in one thread call."""
    lookup = context.delivery.find(http_request, metadata_error)
    if lookup.stored is None:
        return lookup
    context.render_coordinator.touch(lookup.ref.stored_key)
    response = _response(http_request, lookup, context)
    hit = memory.hits.hit_of(http_request, lookup, context.delivery) if memory is not None else None
    return _Found(response, hit)


def _response(http_request: HttpRequest, lookup: Lookup, context: StandaloneContext) -> Response:
    """The response with the rendition's bytes. Raises PreconditionFailed if they have changed."""
    stored = lookup.stored
    assert stored is not None
    head = context.delivery.http_response(http_request, lookup)
    if head.status >= 400:
        return of_status(head.status, headers=head.headers)
    status = error_response(lookup.error)[0] if lookup.error is not None else head.status
    headers = dict(head.headers)
    if head.byte_range is None:
        return Response(status_code=status, headers=headers)
    start, stop = head.byte_range.start, head.byte_range.stop
    if stop - start > MAX_BUFFERED:
        return StreamingResponse(_chunks(lookup, head, context), status, headers)
    body = stored.body[start:stop] if stored.body else b"".join(_chunks(lookup, head, context))
    return Response(body, status, headers)


def _chunks(lookup: Lookup, head: ResponseHead, context: StandaloneContext) -> Iterator[bytes]:
    assert lookup.stored is not None
    assert head.byte_range is not None
    entry, body = lookup.stored.entry, head.byte_range
    try:
        return context.processed.read(entry.key, body.start, body.stop, version=entry.version)
    except NotFound as error:  # evicted between the lookup and the read
        raise PreconditionFailed(str(error)) from error


def _error(http_request: HttpRequest, error: ImageProcessorError, context: StandaloneContext) -> Response:
    """The error as a problem document, or in the form of the URL's dialect."""
    status, document, headers = error_response(error)
    headers |= cors_headers(context.settings.cors_origin)
    dialect = context.delivery.resolver.dialect_of(http_request)
    spoken = dialect.error_body(status, error.code, document["detail"]) if dialect else None
    media_type, text = spoken or (MEDIA_TYPE, json.dumps(document))
    return Response(text, status, headers, media_type)
