"""Catalog adapters (domain.ports.Catalog), opened by URL.

To add one, write a module with a function `open_catalog(location, processed)` and add a row to
ADAPTERS. tests/contracts runs its suite for every row.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from image_processor.domain.errors import Invalid

if TYPE_CHECKING:
    from image_processor.domain.ports import Catalog, ObjectStore

ADAPTERS = {
    "dynamodb": "image_processor.catalog.dynamodb",
    "objects": "image_processor.catalog.objects",
    "sqlite": "image_processor.catalog.sqlite",
}
"""The module of each URL scheme. Imported when first used, so a cold start loads only what it needs."""


def catalog_from_url(url: str, processed: ObjectStore) -> Catalog:
    """The catalog at `dynamodb://TABLE`, `sqlite://PATH`, or `objects://` (JSON objects in the
    ``processed`` store).

    Raises Invalid for an unknown scheme, and InvalidSettings as the adapter does.
    """
    scheme, separator, location = url.partition("://")
    if not separator or scheme not in ADAPTERS:
        schemes = ", ".join(f"{name}://" for name in ADAPTERS)
        raise Invalid.one("catalog", f"a URL that starts with one of {schemes}", url)
    catalog: Catalog = import_module(ADAPTERS[scheme]).open_catalog(location, processed)
    return catalog
