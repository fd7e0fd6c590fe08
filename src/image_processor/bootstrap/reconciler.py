"""Composes the `Reconciler` of a library, on one machine and on AWS."""

from __future__ import annotations

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.domain.ports import Stores
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.outbox import Send

AWS_THREADS = 8
"""Requests at a time on AWS: as many connections as `aws.client.Client` keeps open."""


def build_reconciler(
    settings: Settings,
    recipe: Recipe,
    stores: Stores,
    bucket: str,
    *,
    threads: int = 1,
    invalidate: Send | None = None,
) -> MergingReconciler:
    """Compares the stores with the recipe; see `Reconciler`."""
    # One machine's webhooks are sent by a thread of its server, which needs no help.
    outboxes = any((settings.event_bus, settings.invalidation_queue, settings.distribution))
    return MergingReconciler(
        bucket,
        stores.uploads,
        stores.processed,
        stores.catalog,
        recipe,
        settings.limits,
        settings.icc,
        settings.cache_control,
        settings.exif,
        threads=threads,
        outboxes=outboxes,
        deletion_limit=settings.deletion_limit,
        invalidate=invalidate,
    )
