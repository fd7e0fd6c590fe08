"""HTTP edge: the routes, the guard and the page, put together."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from image_processor import __version__
from image_processor.wiring.machine import Parts

from . import events, images, problems, renditions, uploads
from .guard import Guard
from .openapi import describe
from .views import HealthView, RecipeView
from .work import PartsOf, Work

WEB = Path(__file__).parent.parent / "web"

router = APIRouter(tags=["server"])


@router.get("/health")
def get_health(parts: PartsOf) -> HealthView:
    """How the server is, and what it accepts."""
    settings = parts.settings
    return HealthView(
        version=__version__,
        backlog=parts.backlog(),
        workers=settings.worker_count,
        uploads=str(settings.data / "uploads"),
        max_bytes=settings.limits.max_bytes,
    )


@router.get("/recipe")
def get_recipe(parts: PartsOf) -> RecipeView:
    """Which uploads get which renditions."""
    return RecipeView.of(parts.recipe)


@router.get("/", include_in_schema=False)
def get_page() -> FileResponse:
    return FileResponse(WEB / "index.html")


def create_app(parts: Parts) -> FastAPI:
    """The ASGI application over running parts."""
    app = FastAPI(
        title="Image processor",
        version=__version__,
        description="An upload becomes renditions. Errors are problem documents (RFC 9457).",
        docs_url=None,  # FastAPI's pages of documentation load scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # a slash more is another key
    )
    app.state.parts = parts
    app.state.work = Work(parts)
    for room in (images, uploads, renditions, events):
        app.include_router(room.router)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=WEB))
    app.add_middleware(Guard, settings=parts.settings)
    problems.install(app)
    describe(app)
    return app
