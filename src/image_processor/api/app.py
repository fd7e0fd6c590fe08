"""HTTP edge: routes become an application whose every error is a problem document."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from image_processor import __version__

from . import problems
from .dependencies import Parts, Work
from .openapi import describe


def create_app(parts: Parts, work: Work, routers: Sequence[APIRouter]) -> FastAPI:
    """The ASGI application of ``routers`` over running parts. An Edge has to stand around it."""
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
    app.state.work = work
    for router in routers:
        app.include_router(router)
    problems.install(app)
    describe(app)
    return app
