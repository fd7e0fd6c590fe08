"""HTTP edge of one machine: the whole API, renditions, live progress and the page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from image_processor import __version__
from image_processor.bootstrap.machine import Parts
from image_processor.domain.errors import NotFound, Unavailable
from image_processor.domain.keys import image_id

from . import events, images, markup, on_demand, renditions, uploads
from . import recipe as about
from .app import create_app
from .body_timeout import SmallBodies
from .origin_guard import Guard
from .queued_work import MachinePartsOf, QueuedWork
from .schemas import MachineHealthView

WEB = Path(__file__).parent.parent / "web"
_ANY_KEY = "health"  # nothing need lie there

router = APIRouter(tags=["server"])

ROUTERS = (
    images.router,
    markup.router,
    on_demand.router,
    uploads.router,
    renditions.router,
    events.router,
    about.router,
    router,
)


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    responses={503: {"model": MachineHealthView, "description": "The data cannot be reached."}},
)
def get_health(parts: MachinePartsOf, response: Response) -> MachineHealthView:
    """How the server is, and what it accepts. Degraded is 503, so that a probe need not read it."""
    settings = parts.settings
    trouble = _trouble(parts)
    if trouble:
        response.status_code = 503
    return MachineHealthView(
        status="degraded" if trouble else "ok",
        detail=trouble,
        version=__version__,
        backlog=parts.backlog(),
        workers=settings.worker_count,
        uploads=str(settings.data / "uploads"),
        max_bytes=settings.limits.max_bytes,
    )


@router.head("/", include_in_schema=False)
@router.get("/", include_in_schema=False)
def get_page() -> FileResponse:
    return FileResponse(WEB / "index.html")


def _trouble(parts: Parts) -> str | None:
    """What keeps the stores or the catalog from answering, None if they do."""
    try:
        for store in (parts.uploads, parts.processed):
            with suppress(NotFound):
                store.head(_ANY_KEY)
        parts.catalog.get(image_id(parts.bucket, _ANY_KEY))
    except Unavailable as error:
        return str(error)
    return None


def machine_app(parts: Parts) -> FastAPI:
    """The application that `serve` runs."""
    app = create_app(parts, QueuedWork(parts), ROUTERS)
    app.mount("/static", StaticFiles(directory=WEB))
    if parts.delivery.policy.dialects:
        renditions.answer_everywhere(app)
    app.add_middleware(SmallBodies)
    app.add_middleware(Guard, settings=parts.settings)
    return app
