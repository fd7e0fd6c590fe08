"""The Lambda function `reconcile`: a tick of the schedule in, a part of a run over the whole library done.

It finds what lost events, crashes and changes of the recipe left, and enqueues it for the function `process`.
One invocation checks as many pages as its time allows; the next one continues, so a run takes as long as it
takes. Two invocations at a time do some work twice, and one of them stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.bootstrap.aws import AwsContext, build_invalidation, open_queue
from image_processor.bootstrap.reconciler import AWS_THREADS, build_reconciler
from image_processor.domain.errors import PreconditionFailed
from image_processor.ingest.drift import Drift
from image_processor.ingest.reconcile import Reconciler
from image_processor.ingest.reconcile_run import Checkpoint, Enqueue, StoredCheckpoint, run

from . import log

_RESERVE_MS = 45_000
"""No page is started with less time left than this. A page takes a few seconds."""
_REINDEXED = 1_000
"""Records of version 0.1 that are moved at a time, which takes a few seconds too."""


class ScheduledRun(Struct, frozen=True):
    """What an invocation works with. ``backlog`` counts the messages that wait; with ``max_backlog`` of them
    it pauses."""

    reconciler: Reconciler
    enqueue: Enqueue
    backlog: Callable[[], int]
    max_backlog: int
    clock: Callable[[], datetime]


def open_reconcile(context: AwsContext) -> Callable[[Any, Any], dict[str, Any]]:
    """The handler, over what the function works with. Raises InvalidSettings without a queue."""
    queue = open_queue(context.settings)
    reconciler = build_reconciler(
        context.settings,
        context.recipe,
        context.stores,
        context.bucket,
        threads=AWS_THREADS,
        invalidate=build_invalidation(context.settings),
    )
    scheduled = ScheduledRun(
        reconciler,
        queue.enqueue,
        queue.backlog,
        context.settings.reconcile_backlog,
        lambda: datetime.now(UTC),
    )
    return lambda event, invocation: handle(event, scheduled, invocation.get_remaining_time_in_millis)


def handle(event: Any, scheduled: ScheduledRun, remaining_ms: Callable[[], int]) -> dict[str, Any]:
    """Continue the run that is under way. Without one, start one, unless ``event`` is `{"continue": true}`.

    Raises Unavailable, and whatever the stores raise: Lambda then tries again, and so does the next tick.
    """
    started = time.monotonic()
    reconciler = scheduled.reconciler
    stored = StoredCheckpoint(reconciler.processed, reconciler.bucket)
    before = stored.load()
    if before is None or before.finished_at is not None:
        if isinstance(event, dict) and event.get("continue") is True:
            return {"status": "idle"}
        before = Checkpoint(reconciler.bucket, scheduled.clock())
    after, status = _continue(scheduled, stored, before, remaining_ms)
    log.line("INFO", f"reconcile {status}", **_counts(after), phase=after.position.phase)
    if Drift.HELD in after.found:
        log.line("ERROR", "nothing is deleted", reason=after.guard.reason())
    _log_metrics(before, after, started)
    return {"status": status, **_counts(after)}


def _continue(
    scheduled: ScheduledRun, stored: StoredCheckpoint, checkpoint: Checkpoint, remaining_ms: Callable[[], int]
) -> tuple[Checkpoint, str]:
    """Check pages, then move records of version 0.1, until there is a reason to stop. Returns the last
    checkpoint and the reason."""
    pages = run(scheduled.reconciler, checkpoint, scheduled.enqueue)
    while remaining_ms() >= _RESERVE_MS:
        if scheduled.backlog() >= scheduled.max_backlog:
            return checkpoint, "waiting for the queue"
        _, following = next(pages, (None, None))
        if following is None and scheduled.reconciler.catalog.reindex(limit=_REINDEXED):
            continue
        checkpoint = following or replace(checkpoint, finished_at=scheduled.clock())
        try:
            stored.save(checkpoint)
        except PreconditionFailed:
            return checkpoint, "left to another invocation"
        if following is None:
            return checkpoint, "finished"
    return checkpoint, "paused"


def _counts(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "checked": dict(checkpoint.checked),
        "found": dict(checkpoint.found),
        "enqueued": checkpoint.enqueued,
        "deleted": checkpoint.deleted,
    }


def _log_metrics(before: Checkpoint, after: Checkpoint, started: float) -> None:
    values: dict[str, float] = {
        "Checked": sum(after.checked.values()) - sum(before.checked.values()),
        "Found": sum(after.found.values()) - sum(before.found.values()),
        "Enqueued": after.enqueued - before.enqueued,
        "Unreadable": after.found.get(Drift.UNREADABLE, 0) - before.found.get(Drift.UNREADABLE, 0),
        "Held": after.found.get(Drift.HELD, 0) - before.found.get(Drift.HELD, 0),
        "DurationMs": round(1000 * (time.monotonic() - started), 1),
    }
    log.metrics("reconcile", values)
