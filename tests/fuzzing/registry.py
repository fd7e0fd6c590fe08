"""All fuzz targets by name."""

from __future__ import annotations

from . import containers, documents, urls
from .target import FuzzTarget

TARGETS: dict[str, FuzzTarget] = {**urls.TARGETS, **documents.TARGETS, **containers.TARGETS}
