"""Composes one machine: settings become running parts, started in order and stopped in reverse.

`open_stores` is enough for commands that read a library; `open_server_context` is the whole machine.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.api.hit_cache import LocalStores
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe, load_recipe
from image_processor.config.settings import PREFIX, Settings
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache
from image_processor.domain.errors import InvalidRecipe, InvalidSettings, Problem, Unavailable
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.domain.ports import (
    CachedReads,
    Catalog,
    EventQueue,
    ObjectStore,
    Renderer,
    RoleLeases,
    Stores,
)
from image_processor.engine.worker.decoded_files import DecodedCounts, DecodedFiles
from image_processor.engine.worker.renderer_group import RendererGroup
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.outbox import Outbox, Send
from image_processor.renditions.freshness import is_on_demand
from image_processor.standalone import BUCKET, RENDITIONS_PATH, bucket_name
from image_processor.standalone.activity import Activity
from image_processor.standalone.bucket_mark import BucketMark, catalog_id
from image_processor.standalone.coordination import ALONE, Coordination, Coordinator
from image_processor.standalone.data_dir_lock import WRITABLE_DIRECTORY, DataDirLock
from image_processor.standalone.disk_space import DiskSpace, DiskState, DiskStatus
from image_processor.standalone.fetching_store import FetchingStore
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.live_settings import LiveSettings
from image_processor.standalone.logs import log_outcome
from image_processor.standalone.periodic import Periodic
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileLoop, ReconcileReport
from image_processor.standalone.remote_originals import RemoteOriginals
from image_processor.standalone.render_coordinator import OnRender, RenderCoordinator
from image_processor.standalone.render_pool import RenderPool
from image_processor.standalone.rendition_cache import RenditionCache
from image_processor.standalone.resumable_uploads import FOLDER, ResumableUploads
from image_processor.standalone.shared_renderers import SharedRenderers
from image_processor.standalone.space_aware_store import SpaceAwareStore
from image_processor.standalone.storage_report import StorageCount, StorageReport
from image_processor.standalone.stored_responses import FILE, StoredResponses
from image_processor.standalone.submitted_versions import SubmittedVersions
from image_processor.standalone.watcher import Watcher
from image_processor.standalone.webhooks import Webhook, WebhookSender
from image_processor.storage import store_from_url
from image_processor.storage.directory import PRIVATE_FOLDER

from .delivery import build_delivery, build_on_demand_renderer, build_rendition_repository
from .recipe import check_recipe
from .reconciler import AWS_THREADS, build_reconciler
from .remote import open_remote_originals
from .workers import WorkerHooks, open_workers, original_opener

if TYPE_CHECKING:
    from image_processor.api.metrics import Metrics

_log = logging.getLogger(__name__)

_CLEAN_SECONDS = 600.0
_EXPIRE_SECONDS = 60.0

_ONE_SERVER = (
    ": only one can use a data directory. It uses all cores by itself "
    f"({PREFIX}WORKERS, {PREFIX}SERVER_PROCESSES). Several servers share two buckets and a DynamoDB table, "
    'each with a data directory of its own: "Several servers" in docs/production.md'
)
"""What `serve` says where another server runs."""

SERVER_OWNER = "serve:"
"""Prefix of the owner of a server's leases. A server that holds the data directory's lock releases them at
start: their owner can only be a server that has died."""


def build_metrics() -> Metrics:
    """What counts for Prometheus."""
    from image_processor.api.metrics import Metrics  # noqa: PLC0415 - commands do without its package

    return Metrics()


class StandaloneContext(Struct, frozen=True):
    """What the API of one machine works with."""

    settings: Settings
    live_recipe: LiveRecipe
    """The recipe, which may change."""
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    submit: Callable[[Upload], Future[Outcome]]
    """Queues an upload for the workers."""
    backlog: Callable[[], int]
    """Counts the keys that wait or are being processed."""
    progress: Progress
    delivery: Delivery
    """Finds stored renditions for URLs."""
    render_coordinator: RenderCoordinator
    """Has missing renditions rendered."""
    reconciler_for: Callable[[Recipe], MergingReconciler]
    resumable_uploads: ResumableUploads
    stored_responses: StoredResponses
    bucket: str = BUCKET
    renditions_url: str = RENDITIONS_PATH
    """The base URL of renditions."""
    events: EventQueue | None = None
    """The events that wait for the receiver of webhooks; None without a receiver."""
    local_stores: LocalStores | None = None
    """The stores, where they are on this machine."""
    data_trouble: Callable[[], str | None] = lambda: None
    disk_state: Callable[[], DiskState] = lambda: DiskState(DiskStatus.OK, 0)
    live_settings: LiveSettings | None = None
    reconcile_report: Callable[[], ReconcileReport] = ReconcileReport
    activity: Activity = field(default_factory=Activity)
    metrics: Metrics = field(default_factory=build_metrics)
    storage: Callable[[], StorageCount | None] = lambda: None
    coordination: Callable[[], Coordination] = lambda: ALONE
    remote: RemoteOriginals | None = None
    """Fetches originals from remote sources; None without any."""
    decoded: Callable[[], DecodedCounts] = DecodedCounts

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
    def settings_in_force(self) -> Settings:
        """The settings with what was applied since the start."""
        return self.live_settings.current if self.live_settings else self.settings

    @property
    def settings_error(self) -> InvalidSettings | None:
        """Why changed settings are not in force; None if they are."""
        return self.live_settings.error if self.live_settings else None

    @property
    def recipe_error(self) -> InvalidRecipe | None:
        """Why the recipe in its file is not in force; None if it is."""
        return self.live_recipe.error


def catalog_file(settings: Settings) -> Path:
    """The path of the catalog."""
    return settings.data / "catalog.sqlite"


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The library of one machine, created if missing: the directories and the catalog under
    ``settings.data``, or two buckets, with the catalog there or in a table.

    Raises Unavailable, InvalidSettings, MissingExtra.
    """
    if settings.uses_buckets:
        from .buckets import open_bucket_stores  # noqa: PLC0415 - most machines have directories

        with open_bucket_stores(settings, catalog_file(settings)) as stores:
            yield stores
        return
    uploads, processed = settings.data / "uploads", settings.data / "processed"
    make_folders(settings, uploads, processed)
    with closing(SqliteCatalog(catalog_file(settings))) as catalog:
        yield Stores(store_from_url(f"file://{uploads}"), store_from_url(f"file://{processed}"), catalog)


def make_folders(settings: Settings, *folders: Path) -> None:
    """Create the data directory and ``folders`` in it. Raises Unavailable."""
    try:
        for folder in (settings.data, *folders):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot create the data directory {settings.data}: {error.strerror}; {WRITABLE_DIRECTORY}"
        raise Unavailable(message) from error


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
    if not settings.decoded_bytes or sys.platform != "linux":
        yield None
        return
    decoded = DecodedFiles(
        settings.data, settings.decoded_bytes, has_room=lambda: disk.state().status is DiskStatus.OK
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


def _server_name() -> str:
    """What distinguishes this process from those of other servers."""
    return f"{socket.gethostname()}:{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def _open_bucket_mark(settings: Settings, stores: Stores) -> Iterator[Callable[[], str | None]]:
    """Mark buckets as those of this server's catalog. Yields what tells of a server with another one.

    Raises Unavailable if there is one.
    """
    if not settings.uses_buckets:
        yield lambda: None
        return
    is_shared = settings.table is not None
    catalog = f"table {settings.table}" if is_shared else catalog_id(settings.data)
    mark = BucketMark(stores.processed, catalog, _server_name(), is_shared=is_shared)
    mark.start()
    try:
        yield mark.trouble
    finally:
        mark.stop()


@contextmanager
def _open_coordination(stores: Stores) -> Iterator[Callable[[], Coordination]]:
    """Who searches for lost work: one of the servers that share a table, else this one."""
    if not isinstance(stores.catalog, RoleLeases):
        yield lambda: ALONE
        return
    coordinator = Coordinator(stores.catalog, _server_name())
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


class _Library(Struct, frozen=True):
    """The originals and renditions of a server, opened."""

    opened: Stores
    """The stores without checks of free space."""
    stores: Stores
    """The stores with checks of free space."""
    cached: ObjectStore
    """Where renditions are stored that only URLs ask for."""
    catalog: SqliteCatalog | None
    """The catalog, if it is a file."""
    disk: DiskSpace
    submitted: SubmittedVersions
    """The uploads that requests have submitted."""
    trouble: Callable[[], str | None]
    """Returns what is wrong with any of it; None if all is well."""


@contextmanager
def _open_library(settings: Settings) -> Iterator[_Library]:
    """Raises as `open_server_context`."""
    with ExitStack() as stack:
        # The lock comes first: `restore` replaces the catalog while it holds the lock.
        lock = stack.enter_context(DataDirLock(settings.data, _ONE_SERVER))
        opened = stack.enter_context(open_stores(settings))
        _check_buckets(settings, opened)
        mark_trouble = stack.enter_context(_open_bucket_mark(settings, opened))
        catalog = _own_catalog(opened)
        disk = DiskSpace(_folders(settings), settings.min_free_bytes)
        submitted = SubmittedVersions()
        stores, cached = _space_aware(settings, opened, disk, submitted)

        def trouble() -> str | None:
            return lock.trouble() or (catalog.damage if catalog else None) or mark_trouble()

        yield _Library(opened, stores, cached, catalog, disk, submitted, trouble)


def _build_watcher(
    settings: Settings, library: _Library, submit: Callable[[Upload], object], reconcile_loop: ReconcileLoop
) -> Watcher | None:
    """What notices files in the upload directory; None over buckets."""
    if settings.uses_buckets:
        return None
    return Watcher(
        settings.data / "uploads",
        PRIVATE_FOLDER,
        bucket_name(settings),
        library.stores.uploads,
        library.stores.catalog,
        submit,
        reconcile_loop.trigger,
        settings.deletion_limit,
        library.submitted,
    )


@contextmanager
def open_server_context(settings: Settings) -> Iterator[StandaloneContext]:
    """The whole machine. Raises Unavailable if another server uses the same data directory, or one with
    another catalog the same buckets; InvalidSettings for an S3 service that would lose uploads."""
    from image_processor.standalone.tracing import UploadTracer, trace_rendition  # noqa: PLC0415 - as above

    live = LiveRecipe(load_recipe(settings.recipe), lambda recipe: check_recipe(recipe, settings))
    webhook = build_webhook(settings)
    progress = Progress()
    renderers = RendererGroup(settings.sandbox, keeps_idle=False)  # an idle child takes 50 MB

    with ExitStack() as stopping, ExitStack() as stack:
        library = stack.enter_context(_open_library(settings))
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
                *(settings, live, {bucket: stores}, SERVER_OWNER, progress, hooks, renderers),
                outbox=sends.outbox,
            )
        )

        def submit_any(upload: Upload) -> Future[Outcome]:
            future = workers.submit(upload)
            activity.record_maximum("queue", workers.backlog())
            return future

        def reconciler_for(recipe: Recipe) -> MergingReconciler:
            return build_reconciler(
                *(settings, recipe, stores, bucket), threads=sends.threads, invalidate=sends.invalidate
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
                *(settings, live, replace(stores, processed=library.cached)),
                *(submit_any, open_renderer, activity),
                on_render=(metrics.count_render, trace_rendition),
                remote=remote,
            )
        )
        live.follow(delivery.resolver.use)
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
                stack.enter_context(open_resumable_uploads(settings, disk)),
                stack.enter_context(closing(StoredResponses(settings.data / FILE))),
                bucket,
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


def _check_buckets(settings: Settings, stores: Stores) -> None:
    """Raises InvalidSettings for an S3 service that would lose uploads."""
    if settings.uses_buckets:
        from .buckets import check_conditions  # noqa: PLC0415 - most machines have directories

        check_conditions(settings, stores)


def _start_searches(watcher: Watcher | None, reconcile_loop: ReconcileLoop, stack: ExitStack) -> None:
    """Find uploads until ``stack`` is closed: those that are reported, and those that were not."""
    if watcher is not None:
        watcher.start()
        stack.callback(watcher.stop)
    reconcile_loop.start(watcher.attempted if watcher is not None else None)
    stack.callback(reconcile_loop.stop)


def _own_catalog(stores: Stores) -> SqliteCatalog | None:
    """The catalog if it is a file. Only this server uses it, so it releases the leases of earlier ones."""
    if not isinstance(stores.catalog, SqliteCatalog):
        return None
    stores.catalog.release_owner(SERVER_OWNER)
    return stores.catalog


def _space_aware(
    settings: Settings, stores: Stores, disk: DiskSpace, submitted: SubmittedVersions
) -> tuple[Stores, ObjectStore]:
    """The stores, and the store of renditions that only URLs ask for: on this machine's disk, originals and
    those renditions must not take the space that the renditions of accepted uploads need."""
    if settings.uses_buckets:
        return stores, stores.processed
    uploads = SpaceAwareStore(stores.uploads, disk, keeps_reserve=True, on_write=submitted.expect)
    return replace(stores, uploads=uploads), SpaceAwareStore(stores.processed, disk, keeps_reserve=True)


def _folders(settings: Settings) -> tuple[Path, ...]:
    """Where the server writes."""
    if settings.uses_buckets:
        return (settings.data,)
    return settings.data, settings.data / "uploads", settings.data / "processed"


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
        settings, lambda: live.current, repository, renderers.render, open_original=opener
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
