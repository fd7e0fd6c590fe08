"""HTTP edge: renditions go out, made first if need be. What to answer is decided in delivery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Path, Request
from fastapi.responses import Response, StreamingResponse
from msgspec.structs import replace

from image_processor.bootstrap.machine import Parts
from image_processor.delivery.http.response import ResponseHead
from image_processor.delivery.read_path import Lookup, cors_headers, preflight_headers
from image_processor.delivery.resolver import HttpRequest, RenditionRef
from image_processor.domain.errors import (
    ImageProcessorError,
    NotFound,
    PreconditionFailed,
    Refused,
    Unavailable,
)
from image_processor.standalone.render_coordinator import Pending

from .error_status import told
from .openapi import errors
from .problem_details import MEDIA_TYPE
from .problems import of_status
from .queued_work import MachinePartsOf, QueuedWork, QueuedWorkOf
from .requested_key import ANY_PATH

router = APIRouter(tags=["renditions"])
ROOT = "/renditions/"
_PATH = ROOT + ANY_PATH

_ATTEMPTS = 5
_AT_ONCE = 1024 * 1024
"""Bytes of a rendition that are read in one go; larger ones go out piece by piece."""


async def _get(request: Request) -> HttpRequest:
    """The request as delivery reads it: the path as it came, below where renditions begin."""
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    path = path.removeprefix(ROOT) if path.startswith(ROOT) else path[1:]
    return HttpRequest(request.method, path, query, request.headers)


GetOf = Annotated[HttpRequest, Depends(_get)]


@router.options(_PATH, include_in_schema=False)
def ask_leave(key: str, parts: MachinePartsOf) -> Response:
    """Whether pages of other sites may read renditions (Fetch standard, CORS preflight)."""
    del key  # the answer is the same for all
    allowed = preflight_headers(parts.settings.cors_origin)
    if allowed is None:
        return of_status(405, headers={"allow": "GET, HEAD"})
    return Response(status_code=204, headers=allowed)


@router.head(_PATH, include_in_schema=False)
@router.get(
    _PATH,
    response_class=Response,
    responses={
        200: {"description": "The rendition.", "content": {"image/*": {}}},
        206: {"description": "The part of it that Range asked for.", "content": {"image/*": {}}},
        304: {"description": "The client's copy is good."},
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
    get: GetOf,
    parts: MachinePartsOf,
    work: QueuedWorkOf,
) -> Response:
    """A rendition, with ETag, conditional requests and single ranges (RFC 9110)."""
    del key  # as it came, undecoded, it is in `get`
    try:
        return await _serve(get, parts, work)
    except ImageProcessorError as error:
        return _failed(get, error, parts)


def answer_everywhere(app: FastAPI) -> None:
    """Let ``app`` read every path that is no route of its own as that of a rendition: URLs of other
    products begin at the root."""
    app.add_api_route("/" + ANY_PATH, get_rendition, methods=["GET", "HEAD"], include_in_schema=False)


async def _serve(get: HttpRequest, parts: Parts, work: QueuedWork) -> Response:
    wrong: NotFound | Refused | None = None
    for _ in range(_ATTEMPTS):
        try:
            found = await to_thread.run_sync(_look, get, parts, wrong)
            if isinstance(found, Response):
                return found
            return await _with_made(get, found, parts, work)
        except Pending as header:
            wrong = await _what_is_wrong(header, work) or wrong
        except PreconditionFailed:  # written anew between the look and the read
            continue
    raise Unavailable("it changes too fast to be read")


async def _what_is_wrong(header: Pending, work: QueuedWork) -> NotFound | Refused | None:
    """Wait until a header has been read. None where all is well, or the original is another by now."""
    try:
        await work.done(header.order)
    except (NotFound, Refused) as error:
        return error
    except PreconditionFailed:
        pass
    return None


def _look(get: HttpRequest, parts: Parts, wrong: NotFound | Refused | None) -> Response | Lookup:
    """The answer if the rendition is there, else what has to be made. One turn in a thread."""
    found = parts.delivery.find(get, wrong)
    if found.stored is None:
        return found
    parts.orders.shown(found.wanted)
    return _answer(get, found, parts)


async def _with_made(get: HttpRequest, found: Lookup, parts: Parts, work: QueuedWork) -> Response:
    try:
        if found.error is not None:
            raise found.error
        found = await _made(found.wanted, work)
    except ImageProcessorError as error:
        instead = parts.delivery.fallback_for(found.wanted, error)
        if instead is None:
            raise
        try:
            found = replace(await _made(instead, work), error=error)
        except (NotFound, Refused):  # the picture for such cases is not there either
            raise error from None
    return await to_thread.run_sync(_answer, get, found, parts)


async def _made(wanted: RenditionRef, work: QueuedWork) -> Lookup:
    made = await work.made(wanted)
    return Lookup(wanted, made.stored, made.seconds)


def _answer(get: HttpRequest, found: Lookup, parts: Parts) -> Response:
    """The answer with its bytes. Raises PreconditionFailed if they are others by now."""
    stored = found.stored
    assert stored is not None
    decided = parts.delivery.reply(get, found)
    if decided.status >= 400:
        return of_status(decided.status, headers=decided.headers)
    status = told(found.error)[0] if found.error is not None else decided.status
    headers = dict(decided.headers)
    if decided.body is None:
        return Response(status_code=status, headers=headers)
    start, stop = decided.body.start, decided.body.stop
    if stored.body:
        return Response(stored.body[start:stop], status, headers)
    chunks = _chunks(found, decided, parts)
    if stop - start <= _AT_ONCE:
        return Response(b"".join(chunks), status, headers)
    return StreamingResponse(chunks, status, headers)


def _chunks(found: Lookup, decided: ResponseHead, parts: Parts) -> Iterator[bytes]:
    assert found.stored is not None
    assert decided.body is not None
    entry, body = found.stored.entry, decided.body
    try:
        return parts.processed.read(entry.key, body.start, body.stop, version=entry.version)
    except NotFound as error:  # it had to make room between the look and the read
        raise PreconditionFailed(str(error)) from error


def _failed(get: HttpRequest, error: ImageProcessorError, parts: Parts) -> Response:
    """The error as our problem document, or as the dialect tells it that was spoken."""
    status, document, headers = told(error)
    headers |= cors_headers(parts.settings.cors_origin)
    dialect = parts.delivery.reader.dialect_of(get)
    spoken = dialect.told(status, error.code, document["detail"]) if dialect else None
    media_type, text = spoken or (MEDIA_TYPE, json.dumps(document))
    return Response(text, status, headers, media_type)
