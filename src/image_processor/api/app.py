"""Builds a FastAPI application from routers and the context they work with."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from image_processor import __version__

from . import problems
from .dependencies import AppContext, ContextOf
from .exact_path import ExactPathMiddleware
from .response_models import RecipeModel
from .work import Work

router = APIRouter(tags=["server"])


@router.head("/recipe", include_in_schema=False)
@router.get("/recipe")
def get_recipe(context: ContextOf) -> RecipeModel:
    """Return the recipe: which uploads get which renditions."""
    return RecipeModel.of(context.recipe)


def create_app(context: AppContext, work: Work, routers: Sequence[APIRouter]) -> FastAPI:
    """The ASGI application of ``routers``, every error of which is a problem document.

    The caller adds SecurityHeadersMiddleware or a subclass of it: it handles unexpected exceptions.
    """
    app = FastAPI(
        title="Image processor",
        version=__version__,
        description="Makes renditions of uploaded images. Errors are problem documents (RFC 9457).",
        docs_url=None,  # FastAPI's documentation pages load scripts from another site
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # a key that ends with a slash is another key
    )
    app.state.context = context
    app.state.work = work
    for item in routers:
        app.include_router(item)
    app.add_middleware(ExactPathMiddleware)
    problems.install(app)
    problems.describe(app)
    return app
