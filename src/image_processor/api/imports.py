"""The route of one machine that stores a file of a remote source as an original."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from image_processor.domain.errors import PreconditionFailed, SourceNotAllowed
from image_processor.domain.keys import check_key
from image_processor.domain.models import UploadKind
from image_processor.standalone.remote_originals import RemoteOriginals

from .access_guard import client_of
from .dependencies import StandaloneContextOf, require_json, upload_skip_reason
from .problems import errors, skipped
from .request_models import ImportRequest
from .response_models import UploadModel
from .uploads import STORED, Call, entry_of, stored

router = APIRouter(tags=["uploads"])

_WAIT_SECONDS = 3600.0
"""Longer than a file waits and takes: both end by themselves."""


@router.post(
    "/uploads/from-url",
    status_code=201,
    dependencies=[require_json],
    responses={**STORED, **errors(400, 403, 404, 409, 412, 413, 415, 422, 502, 503, 507)},
)
async def post_from_url(body: ImportRequest, call: Call, context: StandaloneContextOf) -> UploadModel:
    """Fetch a file of a remote source, store it as an original and queue it.

    The URL must begin with one of `IMAGE_PROCESSOR_REMOTE_SOURCES`. The response, and the headers `If-Match`,
    `If-None-Match` and `Prefer`, are those of `PUT /uploads/{key}`.
    """
    remote = _remote(context.remote)
    plan = remote.plan_import(body.url, body.key)
    check_key(plan.key)
    if reason := upload_skip_reason(plan.key, context):
        return skipped(plan.key, reason)  # type: ignore[return-value]  # FastAPI sends a Response as it is
    current = await run_in_threadpool(entry_of, context.uploads, plan.key)
    condition = call.preconditions.condition_for(plan.key, current)
    started = remote.start_import(plan, condition, client_of(call.request.scope))
    try:
        result = await call.work.done(started, _WAIT_SECONDS)
    except PreconditionFailed as error:  # it held when the request arrived, but no longer
        raise HTTPException(412, str(error)) from None
    if result.error is not None:
        raise result.error
    status = await call.work.settled(UploadKind.CREATED, plan.key, result.entry.version, call.wait)
    return stored(call.response, context, result.entry, new=result.is_new, status=status)


def _remote(remote: RemoteOriginals | None) -> RemoteOriginals:
    """Raises SourceNotAllowed where there are no remote sources."""
    if remote is None:
        raise SourceNotAllowed("expected a URL of a remote source, of which there is none")
    return remote
