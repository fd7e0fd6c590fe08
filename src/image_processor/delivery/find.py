"""Delivery: the stored rendition for a key, made first if the recipe declares it and nobody has."""

from __future__ import annotations

from collections.abc import Callable

from image_processor.errors import NotFound
from image_processor.keys import original_of
from image_processor.ports import ObjectStore, StoredObject
from image_processor.recipes import Recipe
from image_processor.transformation import is_rendition_name


def find(processed: ObjectStore, key: str, recipe: Recipe, make: Callable[[str], object]) -> StoredObject:
    """The rendition stored under ``key``, without its bytes.

    If there is none but the recipe declares it, ``make`` is called with its original's key first.
    Raises NotFound for everything else: what is no rendition by its name (records, whatever else
    lies in the bucket) is not even looked at.
    """
    if not is_rendition_name(key.rpartition("/")[2]):
        raise NotFound(f"no rendition {key!r}")
    try:
        return processed.head(key)
    except NotFound:
        original = declared_original(key, recipe)
        if original is None:
            raise
    make(original)
    return processed.head(key)


def declared_original(key: str, recipe: Recipe) -> str | None:
    """The original whose rendition ``key`` would be, if ``recipe`` declares that rendition."""
    prefix, slash, name = key.rpartition("/")
    original = original_of(prefix + slash)
    if original is None:
        return None
    declared = {transformation.name for transformation in recipe.transformations_for(original)}
    return original if name in declared else None
