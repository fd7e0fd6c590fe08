"""Composes one machine: settings become running parts, started in order and stopped in reverse.

`open_stores` is enough for commands that read a library; `open_server_context` is the whole machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.api.hit_cache import LocalStores
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import PREFIX, Settings
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache
from image_processor.domain.errors import InvalidRecipe, InvalidSettings, Problem, Unavailable
from image_processor.domain.models import Outcome, Upload
from image_processor.domain.ports import CachedReads, Catalog, EventQueue, ObjectStore, Renderer, Stores
from image_processor.engine.worker.renderer_group import RendererGroup
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.renditions.freshness import is_on_demand
from image_processor.standalone import BUCKET, RENDITIONS_PATH
from image_processor.standalone.activity import Activity
from image_processor.standalone.data_dir_lock import DataDirLock
from image_processor.standalone.disk_space import DiskSpace, DiskState, DiskStatus
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.logs import log_outcome
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileLoop, ReconcileReport
from image_processor.standalone.render_coordinator import RenderCoordinator
from image_processor.standalone.render_pool import RenderPool
from image_processor.standalone.rendition_cache import RenditionCache
from image_processor.standalone.space_aware_store import SpaceAwareStore
from image_processor.standalone.storage_report import StorageCount, StorageReport
from image_processor.standalone.submitted_versions import SubmittedVersions
from image_processor.standalone.watcher import Watcher
from image_processor.standalone.webhooks import Webhook, WebhookSender
from image_processor.storage import store_from_url
from image_processor.storage.directory import PRIVATE_FOLDER

from .delivery import build_delivery, build_on_demand_renderer, build_rendition_repository
from .recipe import check_recipe
from .reconciler import build_reconciler
from .workers import WorkerHooks, open_workers, original_opener

_log = logging.getLogger(__name__)

SERVER_OWNER = "serve:"
"""Prefix of the owner of a server's leases. A server that holds the data directory's lock releases them at
start: their owner can only be a server that has died."""


class StandaloneContext(Struct, frozen=True):
    """What the API of one machine works with.

    ``live_recipe`` holds the recipe, which may change. ``submit`` queues an upload for the workers,
    ``backlog`` counts keys that wait or are being processed. ``delivery`` finds stored renditions for URLs,
    ``render_coordinator`` has missing ones rendered. ``renditions_url`` is the base URL of renditions.
    ``local_stores`` are the stores where they are on this machine. ``events`` are those that wait for the
    receiver of webhooks, None without one.
    """

    settings: Settings
    live_recipe: LiveRecipe
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    submit: Callable[[Upload], Future[Outcome]]
    backlog: Callable[[], int]
    progress: Progress
    delivery: Delivery
    render_coordinator: RenderCoordinator
    reconciler_for: Callable[[Recipe], MergingReconciler]
    bucket: str = BUCKET
    renditions_url: str = RENDITIONS_PATH
    events: EventQueue | None = None
    local_stores: LocalStores | None = None
    data_trouble: Callable[[], str | None] = lambda: None
    disk_state: Callable[[], DiskState] = lambda: DiskState(DiskStatus.OK, 0)
    reconcile_report: Callable[[], ReconcileReport] = ReconcileReport
    activity: Activity = field(default_factory=Activity)
    storage: Callable[[], StorageCount | None] = lambda: None

    @property
    def recipe(self) -> Recipe:
        """The recipe in force."""
        return self.live_recipe.current

    def check_recipe(self, recipe: Recipe) -> None:
        """Raises InvalidRecipe for a recipe that this machine cannot render."""
        self.live_recipe.check(recipe)

    def reload_recipe(self) -> bool:
        """Read the recipe's file again and put it in force; False if that changes nothing.

        Raises InvalidRecipe, and then the earlier one stays in force, see `LiveRecipe.reload`.
        """
        return self.live_recipe.reload(lambda: load_recipe(self.settings.recipe))

    @property
    def recipe_error(self) -> InvalidRecipe | None:
        """Why the recipe in its file is not in force; None if it is."""
        return self.live_recipe.error


def catalog_file(settings: Settings) -> Path:
    """The path of the catalog."""
    return settings.data / "catalog.sqlite"


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The directories and the catalog under ``settings.data``, created if missing. Raises Unavailable."""
    uploads, processed = settings.data / "uploads", settings.data / "processed"
    try:
        uploads.mkdir(parents=True, exist_ok=True)
        processed.mkdir(exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create the data directory {settings.data}: {error.strerror}") from error
    with closing(SqliteCatalog(catalog_file(settings))) as catalog:
        yield Stores(store_from_url(f"file://{uploads}"), store_from_url(f"file://{processed}"), catalog)


def local_stores(uploads: ObjectStore, processed: ObjectStore) -> LocalStores | None:
    """The stores if both can be read without waiting, else None."""
    if isinstance(uploads, CachedReads) and isinstance(processed, CachedReads):
        return LocalStores(uploads, processed)
    return None


def build_webhook(settings: Settings) -> Webhook | None:
    """Where events are sent, None if nowhere. Raises InvalidSettings for a URL without a secret."""
    if settings.webhook_url is None:
        return None
    if not settings.webhook_secret:
        expected = f"a secret, because {PREFIX}WEBHOOK_URL is set"
        raise InvalidSettings([Problem(PREFIX + "WEBHOOK_SECRET", expected, "nothing")])
    return Webhook(settings.webhook_url, settings.webhook_secret, settings.webhook_days)


@contextmanager
def open_server_context(settings: Settings) -> Iterator[StandaloneContext]:
    """The whole machine. Raises Unavailable if another server uses the same data directory."""
    live = LiveRecipe(load_recipe(settings.recipe), lambda recipe: check_recipe(recipe, settings))
    webhook = build_webhook(settings)
    progress = Progress()
    renderers = RendererGroup(settings.sandbox, keeps_idle=False)  # an idle child takes 50 MB

    @contextmanager
    def open_renderer() -> Iterator[Renderer]:
        with renderers.renderer() as renderer:
            yield renderer.render

    with ExitStack() as stopping, ExitStack() as stack:
        # The lock comes first: `restore` replaces the catalog while it holds the lock.
        lock = stack.enter_context(DataDirLock(settings.data))
        opened = stack.enter_context(open_stores(settings))
        catalog = opened.catalog
        assert isinstance(catalog, SqliteCatalog)
        catalog.release_owner(SERVER_OWNER)
        events = catalog.event_queue() if webhook else None
        disk = DiskSpace(
            (settings.data, settings.data / "uploads", settings.data / "processed"),
            settings.min_free_bytes,
        )
        submitted = SubmittedVersions()
        stores = replace(
            opened,
            uploads=SpaceAwareStore(opened.uploads, disk, keeps_reserve=True, on_write=submitted.expect),
        )
        # A cached rendition must not take the space that those of accepted uploads need.
        cached = SpaceAwareStore(opened.processed, disk, keeps_reserve=True)
        on_unsent: Callable[[], object] = lambda: None  # noqa: E731 - replaced below
        if webhook and events:
            sender = WebhookSender(webhook, events)
            sender.start()
            stack.callback(sender.stop)
            on_unsent = sender.trigger
        activity = Activity()
        hooks = WorkerHooks(on_unsent, disk.note_failure, (activity.count_outcome, log_outcome))
        workers = stack.enter_context(
            open_workers(settings, live, {BUCKET: stores}, SERVER_OWNER, progress, hooks, renderers)
        )

        def submit_any(upload: Upload) -> Future[Outcome]:
            future = workers.submit(upload)
            activity.reach("queue", workers.backlog())
            return future

        reconciler = build_reconciler(settings, live.current, stores, BUCKET)
        reconcile_loop = ReconcileLoop(reconciler, submit_any, settings.sweep_seconds)
        disk.call_when_room(reconcile_loop.trigger)

        def submit(upload: Upload) -> Future[Outcome]:
            submitted.note(upload)
            return submit_any(upload)

        watcher = Watcher(
            settings.data / "uploads",
            PRIVATE_FOLDER,
            BUCKET,
            stores.uploads,
            stores.catalog,
            submit_any,
            reconcile_loop.trigger,
            settings.deletion_limit,
            submitted,
        )
        for thread in (watcher, reconcile_loop):
            thread.start()
            stack.callback(thread.stop)
        delivery, coordinator = stack.enter_context(
            open_read_path(
                *(settings, live, replace(stores, processed=cached), submit_any, open_renderer, activity)
            )
        )
        live.follow(delivery.resolver.use)

        def reconciler_for(recipe: Recipe) -> MergingReconciler:
            return build_reconciler(settings, recipe, stores, BUCKET)

        live.follow(lambda recipe: reconcile_loop.use(reconciler_for(recipe)))
        storage = StorageReport(opened.processed.list)
        stack.callback(storage.stop)
        try:
            yield StandaloneContext(
                settings,
                live,
                stores.uploads,
                stores.processed,
                stores.catalog,
                submit,
                workers.backlog,
                progress,
                delivery,
                coordinator,
                reconciler_for,
                events=events,
                local_stores=local_stores(opened.uploads, opened.processed),
                data_trouble=lambda: lock.trouble() or catalog.damage,
                disk_state=disk.state,
                reconcile_report=reconcile_loop.report,
                activity=activity,
                storage=storage.latest,
            )
        finally:
            # From now until all parts have ended.
            stopping.enter_context(renderers.abort_after(settings.stop_seconds))


@contextmanager
def open_read_path(
    settings: Settings,
    live: LiveRecipe,
    stores: Stores,
    submit: Callable[[Upload], Future[Outcome]],
    open_renderer: Callable[[], AbstractContextManager[Renderer]],
    activity: Activity,
) -> Iterator[tuple[Delivery, RenderCoordinator]]:
    """What finds stored renditions, and what has missing ones rendered.

    Each thread of the render pool keeps one renderer of ``open_renderer``.
    """
    repository = build_rendition_repository(settings, BUCKET, stores)
    opener = original_opener(stores.uploads)

    @contextmanager
    def worker_context() -> Iterator[OnDemandRenderer]:
        with open_renderer() as render:
            yield build_on_demand_renderer(
                settings, lambda: live.current, repository, render, open_original=opener
            )

    def is_evictable(key: str) -> bool:
        return is_on_demand(key) and not delivery.resolver.is_declared(key)

    pool: RenderPool[Any] = RenderPool(worker_context, settings.worker_count, settings.delivery_queue)
    cache = RenditionCache(settings.cache_bytes, stores.processed.list, is_evictable, stores.processed.delete)
    coordinator = RenderCoordinator(repository, pool, cache, submit, activity)
    metadata_of = MetadataCache(repository, coordinator.metadata_of)
    delivery = build_delivery(settings, live.current, repository, metadata_of, RENDITIONS_PATH)
    cache.start()
    try:
        yield delivery, coordinator
    finally:
        cache.stop()
        pool.close()
