"""The application of one machine: the whole API, renditions, live progress and the web page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from image_processor import __version__
from image_processor.domain.errors import NotFound, Refused, Unavailable
from image_processor.domain.keys import image_id
from image_processor.standalone.disk_space import DiskStatus
from image_processor.standalone.progress import Event

from . import (
    access,
    app,
    export,
    idempotency,
    images,
    imports,
    login,
    originals,
    playground,
    recipe_editor,
    renditions,
    resumable_uploads,
    server_page,
    uploads,
)
from .access import RouteAccess
from .access_guard import AccessGuard, Authenticator, caller_of
from .connections import EVENTS_PATH, HEALTH_PATH, MAX_REQUESTS
from .cors import ApiCors
from .dependencies import StandaloneContext, StandaloneContextOf
from .hit_cache import HitCache
from .hit_statistics import HitStatistics
from .http11 import Http11Middleware
from .idempotency import IdempotencyMiddleware
from .middleware import BodyTimeoutMiddleware, OriginGuard
from .origin import HostNames
from .request_share import RequestShare
from .response_models import CoordinationModel, EventModel, StandaloneHealthModel, WaitingEventsModel
from .tus import TusMiddleware
from .upload_forms import UploadForms
from .work import QueuedWork

WEB = Path(__file__).parent.parent / "web"
RECONNECT_MILLISECONDS = 1000
_PROBE_KEY = "health"  # need not exist
_DISK_STATUS: Mapping[DiskStatus, Literal["ok", "low-disk", "degraded"]] = MappingProxyType(
    {DiskStatus.OK: "ok", DiskStatus.LOW: "low-disk", DiskStatus.FULL: "degraded"}
)

events_router = APIRouter(tags=["events"])
router = APIRouter(tags=["server"])

ROUTERS = (
    images.router,
    export.router,
    images.folders_router,
    originals.router,
    uploads.router,
    imports.router,
    resumable_uploads.router,
    renditions.router,
    playground.router,
    events_router,
    app.router,
    recipe_editor.router,
    server_page.router,
    login.router,
    router,
)


@events_router.get(
    EVENTS_PATH,
    response_class=EventSourceResponse,
    responses={200: {"model": EventModel, "description": "Events; `data` of each but `ready` is an event."}},
)
async def get_events(
    request: Request,
    context: StandaloneContextOf,
    prefix: Annotated[str, Query(description="Only events of keys with this prefix.")] = "",
    last_event_id: Annotated[str | None, Header(description="Continue after this event.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Stream what happens to uploads: events named queued, started, processed, refused, deleted,
    skipped, unchanged, retrying, and failed (given up until the next reconciliation).

    The first event is `ready`: no later event is missed. If `missed` is true in a `ready` event, then
    or later, earlier events were lost: query the state of the images instead.
    """
    progress, caller, authenticator = context.progress, caller_of(request), request.app.state.authenticator
    async for item in progress.follow(last_event_id):
        if not authenticator.still_accepts(caller):
            return
        cursor = progress.cursor(item)
        if not isinstance(item, Event):
            yield ServerSentEvent(
                event="ready", data={"missed": item.missed}, id=cursor, retry=RECONNECT_MILLISECONDS
            )
        elif item.key.startswith(prefix):
            data = EventModel(
                type=item.type, id=item.id, key=item.key, sequence=item.sequence, detail=dict(item.detail)
            )
            yield ServerSentEvent(event=item.type, data=data, id=cursor)


@router.head(HEALTH_PATH, include_in_schema=False)
@router.get(
    HEALTH_PATH,
    responses={
        503: {
            "model": StandaloneHealthModel,
            "description": "It cannot reach its data, takes no uploads, or most originals are gone.",
        }
    },
)
def get_health(request: Request, context: StandaloneContextOf, response: Response) -> StandaloneHealthModel:
    """Return the state of the server and its limits. The status code is 503 if it is degraded, but 200 if
    that is only because a changed recipe or file of settings is invalid: then the previous one is in force.

    Where the server asks for tokens, requests without one get `status` alone, for health checks.
    """
    settings = context.settings
    unreachable = _trouble(context)
    report, disk = context.reconcile_report(), context.disk_state()
    trouble = unreachable or report.reason
    status = "degraded" if trouble else _DISK_STATUS[disk.status]
    if status == "degraded":
        response.status_code = 503
    invalid = context.recipe_error
    changed = invalid or context.settings_error
    if changed is not None and status != "degraded":
        what = "recipe is" if invalid else "settings are"
        trouble, status = f"the previous {what} in force: {changed}", "degraded"
    if caller_of(request).scope is None:
        return JSONResponse({"status": status}, response.status_code or 200)  # type: ignore[return-value]
    return StandaloneHealthModel(
        status=status,
        detail=trouble or disk.detail,
        version=__version__,
        backlog=context.backlog(),
        workers=settings.worker_count,
        free_bytes=disk.free,
        uploads=str(settings.data / "uploads"),
        max_bytes=settings.limits.max_bytes,
        events=None if unreachable else _waiting_events(context),
        unreadable=report.unreadable,
        held_deletions=report.held,
        coordination=_coordination(context),
        recipe_error=str(invalid) if invalid is not None else None,
        remote_sources=[source.text for source in context.remote.sources.items] if context.remote else [],
    )


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request, context: StandaloneContextOf) -> Response:
    """Return the metrics for Prometheus: docs/observability.md."""
    statistics: HitStatistics = request.app.state.hit_statistics
    if counts := statistics.take():
        context.metrics.count_hits(counts)
    encode, media_type = _encoder(request.headers.get("accept", ""))
    text = await run_in_threadpool(encode, context.metrics.registry)
    return Response(text, headers={"content-type": media_type})


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """What writes metrics as the client asks for them, and its media type. The text format where
    prometheus_client (0.26) stumbles over a version that is none, such as `version=x`."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):
        return choose_encoder("")


@router.head("/", include_in_schema=False)
@router.get("/", include_in_schema=False)
def get_page() -> FileResponse:
    return FileResponse(WEB / "index.html")


@router.head("/docs", include_in_schema=False)
@router.get("/docs", include_in_schema=False)
def get_docs() -> FileResponse:
    return FileResponse(WEB / "docs.html")


def _coordination(context: StandaloneContext) -> CoordinationModel | None:
    state = context.coordination()
    if not state.server:
        return None
    return CoordinationModel(server=state.server, coordinator=state.coordinator, is_own=state.is_own)


def _waiting_events(context: StandaloneContext) -> WaitingEventsModel | None:
    if context.events is None:
        return None
    waiting, dead = context.events.count()
    return WaitingEventsModel(waiting=waiting, dead=dead)


def _trouble(context: StandaloneContext) -> str | None:
    """Why a store or the catalog does not answer, or cannot be relied on; None if all is well."""
    try:
        for store in (context.uploads, context.processed):
            with suppress(NotFound, Refused):
                store.head(_PROBE_KEY)
        context.catalog.get(image_id(context.bucket, _PROBE_KEY))
    except Unavailable as error:
        return str(error)
    return context.data_trouble()


def standalone_app(context: StandaloneContext) -> FastAPI:
    """The application that `serve` runs."""
    application = app.create_app(context, QueuedWork(context), ROUTERS)
    application.state.hits = _build_hits(context)
    application.state.hit_statistics = HitStatistics()
    context.metrics.watch(context)
    application.mount("/static", StaticFiles(directory=WEB / "static"))
    if context.delivery.policy.dialects:
        renditions.mount_catch_all(application)
    application.state.upload_forms = UploadForms()
    application.state.upload_locks = resumable_uploads.UploadLocks()
    application.state.authenticator = authenticator = Authenticator.of(
        lambda: context.settings_in_force.all_tokens
    )
    access.describe(application, is_required=bool(authenticator.tokens()))
    idempotency.describe(application)
    application.add_middleware(
        IdempotencyMiddleware,
        responses=context.stored_responses,
        max_bytes=context.settings.limits.max_bytes,
    )
    application.add_middleware(BodyTimeoutMiddleware)
    application.add_middleware(RequestShare, count=MAX_REQUESTS)
    routes = RouteAccess(application.routes)
    application.add_middleware(AccessGuard, authenticator=authenticator, routes=routes)
    application.add_middleware(OriginGuard, settings=context.settings)
    application.add_middleware(TusMiddleware)
    if context.settings.api_origins:
        origins = context.settings.api_origins
        application.add_middleware(ApiCors, origins=origins, is_of_rendition=routes.is_of_rendition)
    application.add_middleware(Http11Middleware)
    return application


def _build_hits(context: StandaloneContext) -> HitCache | None:
    """None where the stores are on other machines."""
    if context.local_stores is None:
        return None
    names = HostNames(context.settings.host, context.settings.allowed_hosts)
    return HitCache(context.local_stores, names.has, context.render_coordinator.touch)
