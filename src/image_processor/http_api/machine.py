"""HTTP edge of one machine: the whole API, renditions, live progress and the page."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from image_processor import __version__
from image_processor.wiring.machine import Parts

from . import about, events, images, renditions, uploads
from .app import create_app
from .guard import Guard
from .queued_work import MachinePartsOf, QueuedWork
from .views import MachineHealthView

WEB = Path(__file__).parent.parent / "web"

router = APIRouter(tags=["server"])

ROUTERS = (images.router, uploads.router, renditions.router, events.router, about.router, router)


@router.get("/health")
def get_health(parts: MachinePartsOf) -> MachineHealthView:
    """How the server is, and what it accepts."""
    settings = parts.settings
    return MachineHealthView(
        version=__version__,
        backlog=parts.backlog(),
        workers=settings.worker_count,
        uploads=str(settings.data / "uploads"),
        max_bytes=settings.limits.max_bytes,
    )


@router.get("/", include_in_schema=False)
def get_page() -> FileResponse:
    return FileResponse(WEB / "index.html")


def machine_app(parts: Parts) -> FastAPI:
    """The application that `serve` runs."""
    app = create_app(parts, QueuedWork(parts), ROUTERS)
    app.mount("/static", StaticFiles(directory=WEB))
    app.add_middleware(Guard, settings=parts.settings)
    return app
