"""Catalog adapter: records in an SQLite file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalog import SqliteCatalog

if TYPE_CHECKING:
    from image_processor.domain.ports import ObjectStore

__all__ = ["SqliteCatalog", "open_catalog"]


def open_catalog(location: str, _processed: ObjectStore, **_options: Any) -> SqliteCatalog:
    """The catalog in the file ``location``, or in memory for `:memory:`. Options are not used."""
    return SqliteCatalog(":memory:" if location == ":memory:" else Path(location))
