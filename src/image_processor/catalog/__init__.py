"""Catalog adapters (domain.ports.Catalog), opened by URL.

To add one, write a module with a function `open_catalog(location, processed, **options)`, and add
a row to ADAPTERS. Every adapter must pass the suite in tests/contracts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from image_processor.domain.errors import Invalid

if TYPE_CHECKING:
    from image_processor.domain.ports import Catalog, ObjectStore

ADAPTERS = {
    "dynamodb": "image_processor.catalog.dynamodb:open_catalog",
    "objects": "image_processor.catalog.objects:open_catalog",
    "sqlite": "image_processor.catalog.sqlite:open_catalog",
}
"""URL scheme -> `module:function` that opens the catalog. A module is imported when first used, so a cold
start loads only the adapters that it needs."""


def catalog_from_url(url: str, processed: ObjectStore, **options: Any) -> Catalog:
    """The catalog at `dynamodb://TABLE`, `sqlite://PATH`, or `objects://` (JSON objects in the
    ``processed`` store).

    ``options`` (``endpoint``, ``region``, ``credentials``, ``retries``) are those of DynamoDB; other
    adapters ignore them. Raises Invalid for an unknown scheme, and InvalidSettings as the adapter does.
    """
    scheme, separator, location = url.partition("://")
    if not separator or scheme not in ADAPTERS:
        schemes = ", ".join(f"{name}://" for name in ADAPTERS)
        raise Invalid.one("catalog", f"a URL that starts with one of {schemes}", url)
    module, _, function = ADAPTERS[scheme].partition(":")
    catalog: Catalog = getattr(import_module(module), function)(location, processed, **options)
    return catalog
