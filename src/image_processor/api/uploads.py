"""Routes that store originals on one machine.

A body is streamed into the store, which pulls it chunk by chunk: the client is not read faster than
the disk writes, and the body is never held in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache, partial
from typing import Annotated, Any

from anyio import current_time, fail_after, from_thread
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from msgspec import Struct
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from image_processor.delivery.http.conditions import may_write
from image_processor.domain.errors import Invalid, InvalidKey, NotFound, PreconditionFailed, Reason, Refused
from image_processor.domain.formats import sniff
from image_processor.domain.keys import check_key, image_id
from image_processor.domain.models import UploadKind
from image_processor.domain.ports import ABSENT, Absent, Attributes, Entry, ObjectStore

from .access import Access
from .access_guard import caller_of, client_of, refusal_of
from .dependencies import (
    AppContext,
    ContextOf,
    PreferredWait,
    RequestedKey,
    check_all,
    check_json,
    upload_skip_reason,
)
from .forms import FORM, is_form
from .multipart import FILE_NAME, MAX_FIELD_BYTES, Chunks, FormFile, file_key
from .problems import errors, skipped
from .request_models import PresignedPostRequest
from .response_models import PresignedPostModel, UploadModel, UploadStatus
from .upload_forms import POLICY
from .work import QueuedWork, QueuedWorkOf, in_own_thread

SAMPLE_KEY = "sample.jpg"

MAX_LAG_SECONDS = 30.0
"""How far an upload may fall behind MIN_RATE, by silence or by sending too slowly."""

MIN_RATE = 10_000
"""Bytes per second that an upload must send on average: a fifth of a poor mobile connection. Each
upload holds one of a few slots, which a client must not keep by sending next to nothing."""

TOO_SLOW = f"expected {MIN_RATE} bytes a second and no silence of {MAX_LAG_SECONDS:g} seconds, got less"

router = APIRouter(tags=["uploads"])

STORED: dict[int | str, dict[str, Any]] = {
    200: {"model": UploadModel, "description": "The upload replaced an original."},
    201: {"description": "The original is new."},
}

_REPLACED_OR_SIGNED = {
    "model": UploadModel | PresignedPostModel,
    "description": "The upload replaced an original, or a form was signed.",
}
_FORM_ERRORS = (400, 401, 403, 408, 412, 413, 415, 422, 503, 507)

_FORM_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "key": {"type": "string", "examples": ["photos/${filename}"]},
                        "file": {"type": "string", "format": "binary"},
                    },
                }
            },
            "application/json": {"schema": PresignedPostRequest.model_json_schema()},
        },
    }
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


async def preconditions_of(
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


PreconditionsOf = Annotated[Preconditions, Depends(preconditions_of)]


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


def in_thread(body: Chunks, first: bytes) -> Iterator[bytes]:
    """Yield ``first`` and the chunks after it to a worker thread; raise there what ends the body early."""
    chunk = first
    while chunk:
        yield chunk
        chunk = from_thread.run(body.next)


class UploadCall(Struct, frozen=True):
    """What the two routes that store a body need. The response is preferred within ``wait`` seconds."""

    request: Request
    response: Response
    preconditions: Preconditions
    wait: float
    context: AppContext
    work: QueuedWork


async def _upload_call(
    request: Request,
    response: Response,
    preconditions: PreconditionsOf,
    prefer: PreferredWait,
    context: ContextOf,
    work: QueuedWorkOf,
) -> UploadCall:
    return UploadCall(request, response, preconditions, prefer or 0.0, context, work)


Call = Annotated[UploadCall, Depends(_upload_call)]


@router.put(
    "/uploads/{key:key}",
    status_code=201,
    responses={**STORED, **errors(400, 403, 408, 412, 413, 422, 503, 507)},
    openapi_extra=_ANY_BODY,
)
async def put_upload(key: RequestedKey, call: Call) -> UploadModel:
    """Store the body as an original and queue it. Only the content decides whether it is an image.

    Of a body of the type multipart/form-data its one file is stored. It replaces what the key holds, unless
    `If-Match` or `If-None-Match` says otherwise. The response's ETag is the `version` for a later `If-Match`.
    It is answered at once unless the request prefers to wait; then `status` says how it ended.
    """
    async with client_errors():
        return await _store(key, await _open_body(call.request), call)


@router.post(
    "/uploads",
    status_code=201,
    responses={**STORED, 200: _REPLACED_OR_SIGNED, **errors(*_FORM_ERRORS)},
    openapi_extra=_FORM_BODY,
)
async def post_upload(call: Call) -> UploadModel:
    """Store the file of a form as an original and queue it, or sign a form for somebody who has no token.

    The form's field `key`, before its file, names the original; `${filename}` in it is the file's own name,
    and without it that name is the key. A body of the type application/json asks for a form instead: the
    response is its fields, which upload one key within 15 minutes, as on AWS.
    """
    media_type = call.request.headers.get("content-type", "")
    if not is_form(media_type):
        return await _sign_form(call)  # type: ignore[return-value]  # as above
    async with client_errors():
        form = FormFile(UploadBody(call.request.stream()), media_type)
        await form.open()
        key = file_key(form.fields, form.file_name or "")
        if refusal := _refusal_of_form(call, form, key):
            return refusal  # type: ignore[return-value]  # FastAPI sends a Response as it is
        check_all(lambda: check_key(key))
        return await _store(key, form, call)


@asynccontextmanager
async def client_errors() -> AsyncIterator[None]:
    """Turn what a client does while it sends its body into responses."""
    try:
        yield
    except ClientDisconnect:
        raise HTTPException(400, "expected the whole body, but the client left") from None
    except TimeoutError:
        raise HTTPException(408, TOO_SLOW) from None
    except PreconditionFailed as error:  # it held when the request arrived, but no longer
        raise HTTPException(412, str(error)) from None


async def _open_body(request: Request) -> Chunks:
    """The bytes of a file: the body, or the file of a form."""
    body, media_type = UploadBody(request.stream()), request.headers.get("content-type", "")
    if not is_form(media_type):
        return body
    form = FormFile(body, media_type)
    await form.open()
    return form


async def _store(key: str, body: Chunks, call: UploadCall) -> UploadModel:
    context = call.context
    if reason := upload_skip_reason(key, context):
        return skipped(key, reason)  # type: ignore[return-value]  # FastAPI sends a Response as it is
    limit = context.settings.limits.max_bytes
    _check_whole(call.request)
    _check_length(call.request, limit)
    current = await run_in_threadpool(entry_of, context.uploads, key)
    condition = call.preconditions.condition_for(key, current)
    first = await body.next()
    if not first:
        raise Refused(Reason.EMPTY, "the upload has no bytes")
    chunks, attributes = in_thread(body, first), sniffed_attributes(first)
    put = partial(context.uploads.put_stream, key, chunks, attributes, limit=limit, condition=condition)
    async with call.work.upload_slot(client_of(call.request.scope)):
        entry = await in_own_thread(put)
    status = await call.work.settled(UploadKind.CREATED, key, entry.version, call.wait)
    return stored(call.response, context, entry, new=current is None, status=status)


def _refusal_of_form(call: UploadCall, form: FormFile, key: str) -> ASGIApp | None:
    """The response to a form of somebody who may not upload; None if a token or the form itself allows it.

    Raises SignatureMismatch, SignatureExpired.
    """
    if POLICY not in form.fields:
        return refusal_of(Access.WRITE, caller_of(call.request))
    call.request.app.state.upload_forms.verify(form.fields, key)
    return None


def _check_fixed(key: str) -> None:
    """A signed form has one key, also where S3 would put the file's name into it."""
    if FILE_NAME in key:
        raise InvalidKey.one("key", f"a key without {FILE_NAME}", key)


async def _sign_form(call: UploadCall) -> ASGIApp:
    """The response with a form's fields, to who may upload."""
    if refusal := refusal_of(Access.WRITE, caller_of(call.request)):
        return refusal
    await check_json(call.request)
    try:
        asked = PresignedPostRequest.model_validate_json(await call.request.body())
    except ValidationError as error:
        # As FastAPI does for the bodies that it reads itself.
        raise RequestValidationError(
            [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        ) from None
    check_all(lambda: check_key(asked.key), lambda: _check_fixed(asked.key))
    if reason := upload_skip_reason(asked.key, call.context):
        return skipped(asked.key, reason)
    fields, expires = call.request.app.state.upload_forms.sign(asked.key)
    form = PresignedPostModel(
        id=image_id(call.context.bucket, asked.key),
        key=asked.key,
        url="/uploads",
        fields=fields,
        expires_at=datetime.fromtimestamp(expires, UTC),
        max_bytes=call.context.settings.limits.max_bytes,
    )
    return JSONResponse(form.model_dump(mode="json"))


@router.post("/samples", status_code=201, responses={**STORED, **errors(403, 422, 503, 507)})
async def post_sample(response: Response, context: ContextOf, work: QueuedWorkOf) -> UploadModel:
    """Draw a sample image, store it as `sample.jpg` and queue it. An existing `sample.jpg` is kept."""
    if reason := upload_skip_reason(SAMPLE_KEY, context):
        return skipped(SAMPLE_KEY, reason)  # type: ignore[return-value]  # as above
    async with work.sample_lock:  # drawing takes a second: concurrent requests wait for one drawing
        entry, new = await run_in_threadpool(_store_sample, context.uploads)
    work.submit(UploadKind.CREATED, SAMPLE_KEY, entry.version)
    return stored(response, context, entry, new=new)


def _store_sample(uploads: ObjectStore) -> tuple[Entry, bool]:
    """The sample's entry, drawn and stored only if there is none; and whether it is new."""
    if entry := entry_of(uploads, SAMPLE_KEY):
        return entry, False
    try:
        return uploads.put(SAMPLE_KEY, _sample(), Attributes(media_type="image/jpeg"), condition=ABSENT), True
    except PreconditionFailed:  # another client has stored that key meanwhile
        return uploads.head(SAMPLE_KEY).entry, False


@cache
def _sample() -> bytes:
    from image_processor.engine.sample import draw_sample  # noqa: PLC0415 - libvips takes 5 MB

    return draw_sample()


def entry_of(uploads: ObjectStore, key: str) -> Entry | None:
    """What the key holds; None if it holds nothing."""
    try:
        return uploads.head(key).entry
    except NotFound:
        return None


def stored(
    response: Response, context: AppContext, entry: Entry, *, new: bool, status: UploadStatus = "queued"
) -> UploadModel:
    upload = UploadModel.of(context.bucket, entry, status)
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
    """Refuse what is too large before it is sent. What a form adds to its file is not counted exactly."""
    length = request.headers.get("content-length", "")
    more = MAX_FIELD_BYTES if is_form(request.headers.get("content-type", "")) else 0
    if length.isdigit() and int(length) > limit + more:
        raise Refused(Reason.TOO_MANY_BYTES, f"expected at most {limit} bytes, got {length}")


def sniffed_attributes(first: bytes) -> Attributes:
    """The attributes of an original that begins with ``first``: only the content decides."""
    format_ = sniff(first)
    return Attributes(media_type=format_.media_type) if format_ else Attributes()
