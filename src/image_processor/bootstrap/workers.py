"""Composes the workers of one machine: for the server, and for the commands that process without one."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.domain.errors import InsufficientStorage
from image_processor.domain.models import MessageKind, Outcome, Upload, UploadKind
from image_processor.domain.ports import ObjectStore, OpenOriginal, OriginalFiles, Renderer, Stores
from image_processor.engine.operations.fonts import use_fonts
from image_processor.engine.worker.renderer_group import RendererGroup
from image_processor.ingest.outbox import Outbox
from image_processor.ingest.process import Processor
from image_processor.ingest.unreleased_leases import UnreleasedLeases
from image_processor.standalone import RENDITIONS_PATH
from image_processor.standalone.delegating_store import DelegatingStore
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.progress import Progress
from image_processor.standalone.workers import RECONCILIATION, Workers

from .recipe import check_recipe

if TYPE_CHECKING:
    from image_processor.standalone.tracing import UploadTracer  # needs a package of the server

_log = logging.getLogger(__name__)


def original_opener(uploads: ObjectStore) -> OpenOriginal | None:
    """How originals are opened as files, which renderers read by themselves; None where they are no files of
    this machine."""
    store = uploads
    while isinstance(store, DelegatingStore):
        store = store.store
    return store.open_original if isinstance(store, OriginalFiles) else None


class NoTracer:
    """Where nothing is traced."""

    def trace(self, processor: Processor) -> Processor:
        return processor

    def process(self, process: Callable[[Upload], Outcome]) -> Callable[[Upload], Outcome]:
        return process


class WorkerHooks(Struct, frozen=True):
    """What workers call."""

    on_unsent: Callable[[], object] = lambda: None
    """After an outcome with an event to be sent."""
    on_full: Callable[[InsufficientStorage], object] = lambda _: None
    """When an upload failed for want of space."""
    on_outcome: tuple[Callable[[Outcome, float], object], ...] = ()
    """All of these after each outcome, with the seconds that it took."""
    tracer: Callable[[], UploadTracer | NoTracer] = NoTracer
    """Makes what traces one worker's uploads."""


@contextmanager
def open_workers(  # noqa: PLR0913 - one per part that commands and the server choose
    settings: Settings,
    recipe: Recipe | LiveRecipe,
    stores: Mapping[str, Stores],
    role: str,
    progress: Progress,
    hooks: WorkerHooks = WorkerHooks(),
    renderers: RendererGroup | None = None,
    *,
    next_try: str = RECONCILIATION,
    outbox: Outbox | None = None,
    summary: bool = True,
    expected_uploads: int = 1,
) -> Iterator[Workers]:
    """Started workers, each with an isolated renderer of its own. At the end they finish their uploads
    within ``settings.stop_seconds``; what they do not finish is left to the next start.

    ``stores`` maps the buckets that uploads may name to their stores. ``role`` is the prefix under which
    the workers own leases. ``renderers`` is where the renderers come from. ``next_try`` says in messages what
    will try a failed upload again. ``outbox`` is what is sent after an outcome, by default events, by the
    server. Without ``summary`` records have no visual summary and no digest of the original, which take as
    long as a small rendition. As many renderers as ``expected_uploads`` can use start at once, the others
    when they are needed.

    Raises before any work: UnsafeRuntime if libvips cannot be made safe, or a required sandbox is not
    complete; InvalidSettings if the directory of fonts has none, InvalidRecipe if the recipe needs what this
    machine lacks.
    """
    live = recipe if isinstance(recipe, LiveRecipe) else LiveRecipe(recipe)
    check_recipe(live.current, settings)
    if settings.fonts:
        use_fonts(settings.fonts)
    group = renderers or RendererGroup(settings.sandbox)
    leases = _LeaseOwner(f"{role}{os.getpid()}-{secrets.token_hex(4)}")
    outbox = outbox or build_stored_outbox(settings)

    @contextmanager
    def worker_context() -> Iterator[Callable[[Upload], Outcome]]:
        with group.renderer() as renderer:
            render = renderer.render if summary else partial(renderer.render, summary=False)
            first = live.current
            processors = {
                bucket: _build_processor(settings, first, bucket, stores[bucket], render, leases, outbox)
                for bucket in stores
            }
            tracer = hooks.tracer()
            processors = {bucket: tracer.trace(processor) for bucket, processor in processors.items()}

            def process(upload: Upload) -> Outcome:
                processor = processors[upload.bucket]
                if processor.recipe is not live.current:
                    processor = processors[upload.bucket] = replace(processor, recipe=live.current)
                started = time.monotonic()
                try:
                    outcome = processor.process(upload)
                except InsufficientStorage as error:
                    hooks.on_full(error)
                    raise
                seconds = time.monotonic() - started
                for callback in hooks.on_outcome:
                    callback(outcome, seconds)
                if outcome.unsent:
                    hooks.on_unsent()
                if processor.recipe is not live.current:
                    # The reconciliation after the change may have passed this key meanwhile.
                    workers.submit(Upload(upload.bucket, upload.key, UploadKind.RECONCILE))
                return outcome

            yield tracer.process(process)

    try:
        group.start_idle(min(settings.worker_count, expected_uploads) - 1)
        if gaps := group.try_start():
            _log.warning("renderers are not fully sandboxed: %s", "; ".join(gaps))
        workers = Workers(worker_context, settings.worker_count, progress, next_try)
        workers.start()
        try:
            yield workers
        finally:
            with group.abort_after(settings.stop_seconds):
                workers.stop()
    finally:
        group.close_unused()


class _LeaseOwner(Struct, frozen=True):
    """Who owns the leases of all threads of this process, and those that could not be released."""

    name: str
    unreleased: UnreleasedLeases = field(default_factory=UnreleasedLeases)


def _build_processor(
    settings: Settings,
    recipe: Recipe,
    bucket: str,
    stores: Stores,
    render: Renderer,
    leases: _LeaseOwner,
    outbox: Outbox,
) -> Processor:
    return Processor(
        bucket=bucket,
        uploads=stores.uploads,
        processed=stores.processed,
        catalog=stores.catalog,
        recipe=recipe,
        render=render,
        limits=settings.limits,
        icc=settings.icc,
        cache_control=settings.cache_control,
        owner=leases.name,
        unreleased=leases.unreleased,
        lease_duration=timedelta(seconds=settings.lease_seconds),
        clock=lambda: datetime.now(UTC),
        exif=settings.exif,
        outbox=outbox,
        open_original=original_opener(stores.uploads),
    )


def build_stored_outbox(settings: Settings) -> Outbox:
    """Events are only stored: the server's WebhookSender sends them."""
    if settings.webhook_url is None:
        return Outbox()
    return Outbox(
        frozenset({MessageKind.EVENT}), renditions_url=f"{settings.public_url or ''}{RENDITIONS_PATH}"
    )
