"""HTTP edge: what the system says of itself."""

from __future__ import annotations

from fastapi import APIRouter

from .dependencies import PartsOf
from .schemas import RecipeView

router = APIRouter(tags=["server"])


@router.head("/recipe", include_in_schema=False)
@router.get("/recipe")
def get_recipe(parts: PartsOf) -> RecipeView:
    """Which uploads get which renditions."""
    return RecipeView.of(parts.recipe)
