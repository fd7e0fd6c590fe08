"""Catalog adapter: records in a DynamoDB table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import DynamoCatalog

if TYPE_CHECKING:
    from image_processor.domain.ports import ObjectStore

__all__ = ["DynamoCatalog", "open_catalog"]


def open_catalog(location: str, processed: ObjectStore) -> DynamoCatalog:  # noqa: ARG001 - every adapter gets it
    """The catalog in the table named ``location``; region, endpoint and credentials from the environment."""
    return DynamoCatalog(location)
