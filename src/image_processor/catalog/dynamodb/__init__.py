"""Catalog adapter: records in a DynamoDB table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .catalog import DynamoCatalog

if TYPE_CHECKING:
    from image_processor.domain.ports import ObjectStore

__all__ = ["DynamoCatalog", "open_catalog"]


def open_catalog(location: str, _processed: ObjectStore, **options: Any) -> DynamoCatalog:
    """The catalog in the table named ``location``. ``options`` are those of DynamoCatalog."""
    return DynamoCatalog(location, **options)
