"""Real stores and catalogs for the histories: directories with SQLite, or emulated AWS."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.domain.models import IccPolicy, Limits
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from image_processor.storage.directory import DirectoryStore
from support import aws
from support.ingest import BUCKET, fake_render

from .history import RECIPES
from .system import CACHE_CONTROL, LEASE

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Backend:
    """Locations of stores and catalog, which travel as JSON; each process opens its own."""

    kind: str
    uploads: str
    processed: str
    catalog: str
    endpoint: str = ""

    def open(self) -> tuple[Any, Any, Any]:
        """Open the upload store, the processed store and the catalog."""
        if self.kind == "directory":
            stores = DirectoryStore(Path(self.uploads)), DirectoryStore(Path(self.processed))
            return (*stores, SqliteCatalog(Path(self.catalog)))
        uploads, processed = (aws.open_store(self.endpoint, name) for name in (self.uploads, self.processed))
        return uploads, processed, aws.open_catalog(self.endpoint, self.catalog)


def directory(folder: Path) -> Backend:
    """New directories below ``folder``."""
    return Backend("directory", *(str(folder / name) for name in ("uploads", "processed", "catalog.sqlite")))


def emulated() -> Backend:
    """New buckets and a new table in the AWS emulation of this test process."""
    endpoint = aws.address()
    buckets = aws.make_bucket(endpoint), aws.make_bucket(endpoint)
    return Backend("aws", *buckets, aws.make_table(endpoint), endpoint)


def processor(
    ports: tuple[Any, Any, Any], recipe: int, now: float, owner: str, render: Any = fake_render
) -> Processor:
    """A processor whose clock stands at ``now`` seconds of the history, with one of the recipes."""
    clock = _START + timedelta(seconds=now)
    return Processor(
        BUCKET,
        *ports,
        RECIPES[recipe],
        Limits(),
        IccPolicy.STRIP,
        CACHE_CONTROL,
        render=render,
        owner=owner,
        lease_duration=timedelta(seconds=LEASE),
        clock=lambda: clock,
    )


def reconciler(ports: tuple[Any, Any, Any], recipe: int) -> Reconciler:
    return MergingReconciler(BUCKET, *ports, RECIPES[recipe], Limits(), IccPolicy.STRIP, CACHE_CONTROL)
