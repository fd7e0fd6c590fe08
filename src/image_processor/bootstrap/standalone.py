"""Composes one machine: settings become running parts, started in order and stopped in reverse.

`local_library` opens what it works on; `open_server_context` is the whole machine.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from image_processor.api.hit_cache import LocalStores
from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import PREFIX, Settings
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache
from image_processor.domain.errors import InvalidSettings, Problem
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.domain.ports import CachedReads, EventQueue, ObjectStore, Renderer, RoleLeases, Stores
from image_processor.engine.worker.decoded_files import MAX_FILES, DecodedCounts, DecodedFiles
from image_processor.engine.worker.renderer_group import RendererGroup
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.outbox import Outbox, Send
from image_processor.renditions.freshness import is_on_demand
from image_processor.standalone import RENDITIONS_PATH, bucket_name, open_files
from image_processor.standalone.activity import Activity
from image_processor.standalone.coordination import ALONE, Coordination, Coordinator
from image_processor.standalone.disk_space import DiskSpace, DiskStatus
from image_processor.standalone.fetching_store import FetchingStore
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.logs import log_outcome
from image_processor.standalone.periodic import Periodic
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileLoop
from image_processor.standalone.remote_originals import RemoteOriginals
from image_processor.standalone.render_coordinator import OnRender, RenderCoordinator
from image_processor.standalone.render_pool import RenderPool
from image_processor.standalone.rendition_cache import RenditionCache
from image_processor.standalone.resumable_uploads import FOLDER, ResumableUploads
from image_processor.standalone.shared_renderers import SharedRenderers
from image_processor.standalone.storage_report import StorageReport
from image_processor.standalone.stored_responses import FILE, StoredResponses
from image_processor.standalone.watcher import Watcher
from image_processor.standalone.webhooks import Webhook, WebhookSender
from image_processor.storage.directory import PRIVATE_FOLDER

from .delivery import build_delivery, build_on_demand_renderer, build_rendition_repository
from .local_library import SERVER_OWNER, Library, open_library, server_name
from .recipe import check_recipe
from .reconciler import AWS_THREADS, build_reconciler
from .remote import open_remote_originals
from .standalone_context import StandaloneContext, build_metrics
from .workers import WorkerHooks, open_workers, original_opener

_log = logging.getLogger(__name__)

_CLEAN_SECONDS = 600.0
_EXPIRE_SECONDS = 60.0


def local_stores(uploads: ObjectStore, processed: ObjectStore) -> LocalStores | None:
    """The stores if both can be read without waiting, else None."""
    if isinstance(uploads, CachedReads) and isinstance(processed, CachedReads):
        return LocalStores(uploads, processed)
    return None


@contextmanager
def open_resumable_uploads(settings: Settings, disk: DiskSpace) -> Iterator[ResumableUploads]:
    """The uploads that arrive in several requests. Where originals are files, each is there twice for a
    moment: when it is complete it is copied into the upload directory, whose store makes that atomic."""
    copies = 1 if settings.uses_buckets else 2
    lifetime = settings.resumable_hours * 3600
    uploads = ResumableUploads(settings.data / FOLDER, lifetime, disk.check_room_for, copies=copies)
    cleaner = Periodic("the deletion of expired uploads", _CLEAN_SECONDS, uploads.delete_expired)
    cleaner.start()
    try:
        yield uploads
    finally:
        cleaner.stop()


@contextmanager
def _open_decoded_files(settings: Settings, disk: DiskSpace) -> Iterator[DecodedFiles | None]:
    """The pixels that the renderers of URLs share; None where none are to be kept."""
    max_files = min(MAX_FILES, open_files.spare())
    if not settings.decoded_bytes or not max_files or sys.platform != "linux":
        yield None
        return
    decoded = DecodedFiles(
        settings.data,
        settings.decoded_bytes,
        max_files=max_files,
        has_room=lambda: disk.state().status is DiskStatus.OK,
    )
    cleaner = Periodic("the removal of unused decoded originals", _EXPIRE_SECONDS, decoded.expire)
    cleaner.start()
    try:
        yield decoded
    finally:
        cleaner.stop()


def _dropping(decoded: DecodedFiles | None) -> Callable[[Outcome, float], None]:
    """Drops the pixels of an original that is deleted, or has another version."""

    def drop(outcome: Outcome, _seconds: float) -> None:
        if decoded is not None and outcome.status is not OutcomeStatus.UNCHANGED:
            decoded.drop(outcome.key)

    return drop


@contextmanager
def _open_coordination(stores: Stores) -> Iterator[Callable[[], Coordination]]:
    """Who searches for lost work: one of the servers that share a table, else this one."""
    if not isinstance(stores.catalog, RoleLeases):
        yield lambda: ALONE
        return
    coordinator = Coordinator(stores.catalog, server_name())
    coordinator.start()
    try:
        yield coordinator.state
    finally:
        coordinator.stop()


def build_webhook(settings: Settings) -> Webhook | None:
    """Where events are sent, None if nowhere. Raises InvalidSettings for a URL without a secret."""
    if settings.webhook_url is None:
        return None
    if not settings.webhook_secret:
        expected = f"a secret, because {PREFIX}WEBHOOK_URL is set"
        raise InvalidSettings([Problem(PREFIX + "WEBHOOK_SECRET", expected, "nothing")])
    return Webhook(settings.webhook_url, settings.webhook_secret, settings.webhook_days)


def _build_watcher(
    settings: Settings, library: Library, submit: Callable[[Upload], object], reconcile_loop: ReconcileLoop
) -> Watcher | None:
    """What notices files in the upload directory; None over buckets."""
    if settings.uses_buckets:
        return None
    return Watcher(
        root=settings.data / "uploads",
        private=PRIVATE_FOLDER,
        bucket=bucket_name(settings),
        uploads=library.stores.uploads,
        catalog=library.stores.catalog,
        submit=submit,
        on_gap=reconcile_loop.trigger,
        deletion_limit=settings.deletion_limit,
        submitted=library.submitted,
    )


@contextmanager
def open_server_context(settings: Settings) -> Iterator[StandaloneContext]:
    """The whole machine. Raises as `open_library`."""
    from image_processor.standalone.tracing import UploadTracer, trace_rendition  # noqa: PLC0415 - as above

    live = LiveRecipe(load_recipe(settings.recipe), lambda recipe: check_recipe(recipe, settings))
    webhook = build_webhook(settings)
    progress = Progress()
    renderers = RendererGroup(settings.sandbox, keeps_idle=False)  # an idle child takes 50 MB

    with ExitStack() as stopping, ExitStack() as stack:
        library = stack.enter_context(open_library(settings))
        opened, stores, disk, catalog = library.opened, library.stores, library.disk, library.catalog
        decoded = stack.enter_context(_open_decoded_files(settings, disk))
        bucket, sends = bucket_name(settings), _bucket_sends(settings)
        events = catalog.event_queue() if webhook and catalog else None
        on_unsent = _start_sender(webhook, events, stack) if webhook and events else lambda: None
        activity, metrics = Activity(), build_metrics()
        on_outcome = (activity.count_outcome, metrics.count_outcome, log_outcome, _dropping(decoded))
        hooks = WorkerHooks(on_unsent, disk.note_failure, on_outcome, UploadTracer)

        @contextmanager
        def open_renderer() -> Iterator[Renderer]:
            with renderers.renderer(decoded) as renderer:
                yield renderer.render

        workers = stack.enter_context(
            open_workers(
                settings,
                live,
                {bucket: stores},
                SERVER_OWNER,
                progress,
                hooks,
                renderers,
                outbox=sends.outbox,
            )
        )

        def submit_any(upload: Upload) -> Future[Outcome]:
            future = workers.submit(upload)
            activity.record_maximum("queue", workers.backlog())
            return future

        def reconciler_for(recipe: Recipe) -> MergingReconciler:
            return build_reconciler(
                settings, recipe, stores, bucket, threads=sends.threads, invalidate=sends.invalidate
            )

        def submit(upload: Upload) -> Future[Outcome]:
            library.submitted.note(upload)
            return submit_any(upload)

        coordination = stack.enter_context(_open_coordination(opened))
        reconcile_loop = ReconcileLoop(
            reconciler_for(live.current),
            submit_any,
            settings.sweep_seconds,
            is_in_charge=lambda: coordination().is_own,
        )
        disk.call_when_room(reconcile_loop.trigger)
        _start_searches(_build_watcher(settings, library, submit_any, reconcile_loop), reconcile_loop, stack)
        remote = stack.enter_context(
            open_remote_originals(settings, stores.uploads, submit, metrics.count_fetch)
        )
        delivery, coordinator = stack.enter_context(
            open_read_path(
                settings,
                live,
                replace(stores, processed=library.cached),
                submit_any,
                open_renderer,
                activity,
                on_render=(metrics.count_render, trace_rendition),
                remote=remote,
            )
        )
        if decoded is not None:
            decoded.is_awaited = coordinator.is_awaited
        live.follow(delivery.resolver.use)
        live.follow(lambda recipe: reconcile_loop.use(reconciler_for(recipe)))
        storage = StorageReport(opened.processed.list)
        stack.callback(storage.stop)
        try:
            yield StandaloneContext(
                settings=settings,
                live_recipe=live,
                uploads=stores.uploads,
                processed=stores.processed,
                catalog=stores.catalog,
                submit=submit,
                backlog=workers.backlog,
                progress=progress,
                delivery=delivery,
                render_coordinator=coordinator,
                reconciler_for=reconciler_for,
                resumable_uploads=stack.enter_context(open_resumable_uploads(settings, disk)),
                stored_responses=stack.enter_context(closing(StoredResponses(settings.data / FILE))),
                bucket=bucket,
                events=events,
                local_stores=local_stores(opened.uploads, opened.processed),
                data_trouble=library.trouble,
                disk_state=disk.state,
                reconcile_report=reconcile_loop.report,
                activity=activity,
                metrics=metrics,
                storage=storage.latest,
                coordination=coordination,
                remote=remote,
                decoded=decoded.counts if decoded else DecodedCounts,
            )
        finally:
            # From now until all parts have ended.
            stopping.enter_context(renderers.abort_after(settings.stop_seconds))


def _start_searches(watcher: Watcher | None, reconcile_loop: ReconcileLoop, stack: ExitStack) -> None:
    """Find uploads until ``stack`` is closed: those that are reported, and those that were not."""
    if watcher is not None:
        watcher.start()
        stack.callback(watcher.stop)
    reconcile_loop.start(watcher.attempted if watcher is not None else None)
    stack.callback(reconcile_loop.stop)


class _Sends(Struct, frozen=True):
    """What a server over buckets sends after an outcome and after a deletion, and its requests at a time."""

    outbox: Outbox | None = None
    invalidate: Send | None = None
    threads: int = 1


def _bucket_sends(settings: Settings) -> _Sends:
    """Raises InvalidSettings."""
    if not settings.uses_buckets:
        return _Sends()
    from .buckets import build_bucket_invalidation, build_bucket_outbox  # noqa: PLC0415 - as in open_stores

    return _Sends(build_bucket_outbox(settings), build_bucket_invalidation(settings), AWS_THREADS)


def _start_sender(webhook: Webhook, events: EventQueue, stack: ExitStack) -> Callable[[], object]:
    """Send events until ``stack`` is closed. Returns what to call after each new event."""
    sender = WebhookSender(webhook, events)
    sender.start()
    stack.callback(sender.stop)
    return sender.trigger


@contextmanager
def open_read_path(  # noqa: PLR0913 - the parts that tests of the API choose
    settings: Settings,
    live: LiveRecipe,
    stores: Stores,
    submit: Callable[[Upload], Future[Outcome]],
    open_renderer: Callable[[], AbstractContextManager[Renderer]],
    activity: Activity,
    *,
    on_render: Sequence[OnRender] = (),
    remote: RemoteOriginals | None = None,
) -> Iterator[tuple[Delivery, RenderCoordinator]]:
    """What finds stored renditions, and what has missing ones rendered, with a renderer of ``open_renderer``
    for each worker. ``remote`` fetches originals that are not stored."""
    opener = original_opener(stores.uploads)
    if remote is not None:
        stores = replace(stores, uploads=FetchingStore(stores.uploads, remote))
    repository = build_rendition_repository(settings, bucket_name(settings), stores)
    renderers = SharedRenderers(open_renderer, settings.worker_count)
    renderer = build_on_demand_renderer(
        *(settings, lambda: live.current, repository, renderers.render),
        open_original=opener,
        stores_alone=not settings.uses_buckets,
    )

    def is_evictable(key: str) -> bool:
        return is_on_demand(key) and not delivery.resolver.is_declared(key)

    max_tasks = settings.worker_count + settings.delivery_queue
    # One that renders and one that reads or stores, for each renderer.
    pool: RenderPool[Any] = RenderPool(renderer, min(2 * settings.worker_count, max_tasks), max_tasks)
    cache = RenditionCache(settings.cache_bytes, stores.processed.list, is_evictable, stores.processed.delete)
    on_touch = remote.touch if remote is not None else lambda _: None
    coordinator = RenderCoordinator(repository, pool, cache, submit, activity, on_render, on_touch)
    metadata_of = MetadataCache(repository, coordinator.metadata_of)
    delivery = build_delivery(settings, live.current, repository, metadata_of, RENDITIONS_PATH)
    cache.start()
    try:
        yield delivery, coordinator
    finally:
        cache.stop()
        pool.close()
        renderers.close()
