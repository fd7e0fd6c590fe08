"""Wiring of one machine: Settings -> the running parts.

`open_stores` is enough to look at a library; `running` is the whole machine: stores, workers,
watcher and reconcile loop, started in order and stopped in the opposite one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe
from image_processor.config.settings import Settings
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.read_path import Delivery
from image_processor.delivery.repository import MetadataCache
from image_processor.domain.errors import Unavailable
from image_processor.domain.models import Outcome, Upload
from image_processor.domain.ports import Catalog, Entry, ObjectStore
from image_processor.engine.operations.fonts import use_fonts
from image_processor.engine.worker.isolation import IsolatedRenderer
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from image_processor.renditions.freshness import is_on_demand
from image_processor.renditions.renderer import Renderer
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileLoop
from image_processor.standalone.render_coordinator import RenderCoordinator
from image_processor.standalone.render_pool import RenderPool
from image_processor.standalone.rendition_cache import RenditionCache
from image_processor.standalone.watcher import Watcher
from image_processor.standalone.workers import Workers
from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore

from .delivery import build_delivery, build_on_demand_renderer, build_rendition_repository
from .recipe import check_extras, check_overlays, load_recipe

BUCKET = "uploads"
"""The name of the one upload side of this machine, where AWS would have a bucket's name."""

RENDITIONS = "/renditions"
"""Where the server shows renditions."""

SERVER = "serve:"
"""Claims of the server begin so. Whoever holds the data directory's lock may take them over:
their owner can only be a server that is dead."""


class Stores(Struct, frozen=True):
    """Where originals, renditions and records lie."""

    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog


class Parts(Struct, frozen=True):
    """What the HTTP edge works with. ``submit`` queues work on a key; ``backlog`` counts keys
    that wait or are in work. ``delivery`` finds renditions for URLs, ``render_coordinator`` renders them.
    ``renditions_url`` is what a rendition's key is put behind to open it."""

    settings: Settings
    recipe: Recipe
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    submit: Callable[[Upload], Future[Outcome]]
    backlog: Callable[[], int]
    progress: Progress
    delivery: Delivery
    render_coordinator: RenderCoordinator
    bucket: str = BUCKET
    renditions_url: str = RENDITIONS


def catalog_file(settings: Settings) -> Path:
    """Where the catalog lies."""
    return settings.data / "catalog.sqlite"


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """The directories and the catalog under ``settings.data``, made if they are not there."""
    uploads, processed = settings.data / "uploads", settings.data / "processed"
    try:
        uploads.mkdir(parents=True, exist_ok=True)
        processed.mkdir(exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the data directory {settings.data}: {error.strerror}") from error
    with closing(SqliteCatalog(catalog_file(settings))) as catalog:
        yield Stores(DirectoryStore(uploads), DirectoryStore(processed), catalog)


def reconciler(settings: Settings, recipe: Recipe, stores: Stores, bucket: str = BUCKET) -> Reconciler:
    return Reconciler(
        bucket,
        stores.uploads,
        stores.processed,
        stores.catalog,
        recipe,
        settings.limits,
        settings.icc,
        settings.exif,
    )


@contextmanager
def workers(
    settings: Settings, recipe: Recipe, buckets: Mapping[str, Stores], role: str, progress: Progress
) -> Iterator[Workers]:
    """Started workers, each with a renderer of its own; what is in work is finished at the end.
    Raises UnsafeRuntime before any work where libvips cannot be made safe, InvalidSettings where the
    directory of fonts has none, and InvalidRecipe where the recipe wants what this machine lacks.

    ``buckets`` are the stores to work on, by the bucket that an upload names. ``role`` begins
    the name under which they claim.
    """
    owner = f"{role}{os.getpid()}-{secrets.token_hex(4)}"

    @contextmanager
    def worker_context() -> Iterator[Callable[[Upload], Outcome]]:
        with IsolatedRenderer() as renderer:
            processors = {
                bucket: _processor(settings, recipe, bucket, stores, renderer, owner)
                for bucket, stores in buckets.items()
            }
            yield lambda upload: processors[upload.bucket].process(upload)

    check_overlays(recipe, settings.overlays)
    check_extras(recipe)
    if settings.fonts:
        use_fonts(settings.fonts)
    with IsolatedRenderer() as trial:
        trial.warm()
    pool = Workers(worker_context, settings.worker_count, progress)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop()


def _processor(
    settings: Settings, recipe: Recipe, bucket: str, stores: Stores, renderer: IsolatedRenderer, owner: str
) -> Processor:
    return Processor(
        bucket=bucket,
        uploads=stores.uploads,
        processed=stores.processed,
        catalog=stores.catalog,
        recipe=recipe,
        render=renderer.render,
        limits=settings.limits,
        icc=settings.icc,
        cache_control=settings.cache_control,
        owner=owner,
        lease_duration=timedelta(seconds=settings.lease_seconds),
        clock=lambda: datetime.now(UTC),
        exif=settings.exif,
    )


@contextmanager
def running(settings: Settings) -> Iterator[Parts]:
    """The whole machine. Raises Unavailable if another server works on the same data."""
    recipe = load_recipe(settings.recipe)
    progress = Progress()
    with ExitStack() as stack:
        # The lock first: `restore` puts another catalog in place under it.
        stack.enter_context(data_dir_lock(settings.data))
        stores = stack.enter_context(open_stores(settings))
        assert isinstance(stores.catalog, SqliteCatalog)
        stores.catalog.release_owner(SERVER)
        pool = stack.enter_context(workers(settings, recipe, {BUCKET: stores}, SERVER, progress))
        reconcile_loop = ReconcileLoop(
            reconciler(settings, recipe, stores), pool.submit, settings.sweep_seconds
        )
        watcher = Watcher(
            settings.data / "uploads",
            PRIVATE_FOLDER,
            BUCKET,
            stores.uploads,
            stores.catalog,
            pool.submit,
            reconcile_loop.trigger,
        )
        for thread in (watcher, reconcile_loop):
            thread.start()
            stack.callback(thread.stop)
        delivery, coordinator = stack.enter_context(reads(settings, recipe, stores, pool.submit))
        yield Parts(
            settings,
            recipe,
            stores.uploads,
            stores.processed,
            stores.catalog,
            pool.submit,
            pool.backlog,
            progress,
            delivery,
            coordinator,
        )


@contextmanager
def renderer() -> Iterator[Renderer]:
    """A render in a process of its own."""
    with IsolatedRenderer() as isolated:
        yield isolated.render


@contextmanager
def reads(
    settings: Settings,
    recipe: Recipe,
    stores: Stores,
    submit: Callable[[Upload], Future[Outcome]],
    renderers: Callable[[], AbstractContextManager[Renderer]] = renderer,
) -> Iterator[tuple[Delivery, RenderCoordinator]]:
    """The read path: what finds renditions, and what has them made. Each thread that makes some has one
    of ``renderers``."""
    kept = build_rendition_repository(settings, BUCKET, stores.uploads, stores.processed, stores.catalog)

    @contextmanager
    def worker_context() -> Iterator[OnDemandRenderer]:
        with renderers() as render:
            yield build_on_demand_renderer(settings, recipe, kept, render)

    def on_demand() -> Iterator[Entry]:
        listed = (entry for entry in stores.processed.list() if is_on_demand(entry.key))
        return (entry for entry in listed if not delivery.resolver.is_declared(entry.key))

    pool: RenderPool[Any] = RenderPool(worker_context, settings.worker_count, settings.delivery_queue)
    cache = RenditionCache(settings.cache_bytes, on_demand, stores.processed.delete)
    coordinator = RenderCoordinator(kept, pool, cache, submit)
    delivery = build_delivery(
        settings, recipe, kept, MetadataCache(kept, coordinator.metadata_of), RENDITIONS
    )
    try:
        yield delivery, coordinator
    finally:
        pool.close()


@contextmanager
def data_dir_lock(data: Path) -> Iterator[None]:
    """Hold the data directory's lock, the directory made if it is not there; the kernel lets it go even
    if this process is killed. Raises Unavailable if somebody else holds it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / "server.lock").open("a")
    except OSError as error:
        raise Unavailable(f"cannot make the data directory {data}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"a server already works on {data}") from None
        yield
