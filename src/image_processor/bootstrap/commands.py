"""Composes what the command line needs. Each method imports its parts when it is called: most commands need
few of them, and `--version` none."""

# Imports inside functions are the point of this module.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_processor.cli.context import FileListing, Library, RepairedCatalog
from image_processor.domain.errors import Invalid, InvalidSettings, Problem
from image_processor.domain.models import SandboxPolicy, Upload

if TYPE_CHECKING:
    from image_processor.config.recipe import Recipe
    from image_processor.config.settings import Settings
    from image_processor.delivery.policy import Policy
    from image_processor.domain.models import ImageMetadata, Record
    from image_processor.domain.ports import Catalog, EventQueue, ObjectStore, Renderer, Stores
    from image_processor.engine.worker.isolation import IsolatedRenderer
    from image_processor.ingest.reconcile import Reconciler
    from image_processor.standalone.workers import Workers


class Commands:
    """The `CommandContext` of the installed program."""

    def __init__(self) -> None:
        self._started: IsolatedRenderer | None = None

    def start_renderer(self) -> None:
        from image_processor.engine.worker.isolation import IsolatedRenderer

        self._started = IsolatedRenderer()
        self._started.start()

    def _take_started(self, settings: Settings) -> IsolatedRenderer | None:
        """What `start_renderer` started, unless the settings ask for another child."""
        started, self._started = self._started, None
        if started is None or (settings.sandbox is SandboxPolicy.AUTO and settings.fonts is None):
            return started
        started.close()
        return None

    @contextmanager
    def open_renderer(self, settings: Settings) -> Iterator[Renderer]:
        from image_processor.engine.operations.fonts import use_fonts
        from image_processor.engine.worker.isolation import IsolatedRenderer

        started = self._take_started(settings)
        if settings.fonts:
            use_fonts(settings.fonts)
        with started or IsolatedRenderer(sandbox=settings.sandbox) as renderer:
            yield renderer.render

    def check_remote_sources(self, settings: Settings) -> Mapping[str, str]:
        from .remote import check_remote_sources

        return check_remote_sources(settings)

    def open_stores(self, settings: Settings) -> AbstractContextManager[Stores]:
        from .local_library import open_stores

        return open_stores(settings)

    @contextmanager
    def open_directories(self, roots: Collection[str], out: Path) -> Iterator[Mapping[str, Stores]]:
        from image_processor.catalog.sqlite import SqliteCatalog
        from image_processor.domain.ports import Stores
        from image_processor.storage.directory import DirectoryStore

        # As with cp: another run makes what a power cut takes.
        processed = DirectoryStore(out, durable=False)
        with closing(SqliteCatalog(":memory:")) as catalog:
            yield {root: Stores(DirectoryStore(Path(root)), processed, catalog) for root in roots}

    def read_metadata(self, settings: Settings, file: Path) -> ImageMetadata | None:
        from image_processor.domain.errors import Refused
        from image_processor.domain.models import ImageMetadata
        from image_processor.engine import runtime
        from image_processor.engine.codecs.probe import probe

        runtime.start()
        try:
            body = file.read_bytes()
            header = probe(body, settings.limits)
        except (OSError, Refused):
            return None
        size = (header.width, header.height)
        return ImageMetadata(*size, header.format, header.frames, header.alpha, len(body), "")

    def list_files(self, root: Path) -> FileListing:
        from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore

        keys = tuple(entry.key for entry in DirectoryStore(root).list())
        known, skipped = frozenset(keys), []
        for folder, _, names in os.walk(root):
            for name in names:
                key = os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 - may not be UTF-8
                if key not in known and not key.startswith(f"{PRIVATE_FOLDER}{os.sep}"):
                    skipped.append(key)
        return FileListing(keys, tuple(skipped))

    @contextmanager
    def watch(
        self, roots: Sequence[Path], catalog: Catalog, submit: Callable[[Upload], object]
    ) -> Iterator[None]:
        from image_processor.standalone.watcher import Watcher
        from image_processor.storage.directory import PRIVATE_FOLDER, DirectoryStore

        with ExitStack() as stack:
            for root in roots:
                store = DirectoryStore(root)
                again = _submit_all(str(root), store, submit)
                watcher = Watcher(root, PRIVATE_FOLDER, str(root), store, catalog, submit, again)
                watcher.start()
                stack.callback(watcher.stop)
                watcher.wait_until_watching()
                again()  # what was added since the caller has listed the files
            yield

    def open_aws_library(self, settings: Settings, session: Any, recipe: Recipe | None = None) -> Library:
        from image_processor.config.settings import PREFIX

        from .aws import bucket_names, load_aws_recipe, open_aws_stores
        from .operator_access import access_from
        from .reconciler import AWS_THREADS

        bucket, _ = bucket_names(settings)
        if settings.table is None:
            # Without this, a forgotten variable would look like a library without a single record.
            expected = "a table name, or objects:// for a stack without a table"
            raise InvalidSettings([Problem(f"{PREFIX}TABLE", expected, "nothing")])
        access = access_from(session)
        recipe = recipe or load_aws_recipe(settings, access)
        return Library(bucket, open_aws_stores(settings, access), recipe, AWS_THREADS)

    def open_queue(self, settings: Settings, session: Any) -> Callable[[Sequence[Upload]], int]:
        from .aws import open_queue
        from .operator_access import access_from

        return open_queue(settings, access_from(session)).enqueue

    def open_workers(  # noqa: PLR0913 - one for each decision of a command
        self,
        settings: Settings,
        recipe: Recipe,
        stores: Mapping[str, Stores],
        role: str,
        next_try: str,
        session: Any | None = None,
        *,
        summary: bool = True,
        expected_uploads: int = 1,
    ) -> AbstractContextManager[Workers]:
        from msgspec.structs import replace

        from image_processor.engine.worker.renderer_group import RendererGroup
        from image_processor.standalone.progress import Progress

        from .workers import build_stored_outbox, open_workers

        if session is None:
            outbox = build_stored_outbox(settings)
        else:
            from .aws import build_outbox
            from .operator_access import access_from

            outbox = build_outbox(settings, access_from(session))
        return open_workers(
            settings,
            recipe,
            stores,
            role,
            Progress(),
            renderers=RendererGroup(settings.sandbox, self._take_started(settings)),
            next_try=next_try,
            # The environment of a command may lack the event bus, the queue or the webhook of the server.
            outbox=replace(outbox, keeps_other_kinds=True),
            summary=summary,
            expected_uploads=expected_uploads,
        )

    def build_reconciler(
        self, settings: Settings, library: Library, session: Any | None = None
    ) -> Reconciler:
        from .reconciler import build_reconciler

        invalidate = None
        if session is not None:
            from .aws import build_invalidation
            from .operator_access import access_from

            invalidate = build_invalidation(settings, access_from(session))
        return build_reconciler(
            settings,
            library.recipe,
            library.stores,
            library.bucket,
            threads=library.threads,
            invalidate=invalidate,
        )

    def build_policy(self, settings: Settings) -> Policy:
        from .delivery import build_policy

        return build_policy(settings)

    def image_json(self, record: Record) -> str:
        from image_processor.api.response_models import ImageModel

        return ImageModel.of(record, None).model_dump_json(exclude_none=True)

    @contextmanager
    def open_event_queue(self, settings: Settings) -> Iterator[EventQueue]:
        from image_processor.catalog.sqlite import SqliteCatalog

        from .local_library import catalog_file

        file = catalog_file(settings)
        if not file.is_file():
            raise Invalid.one("--data", "the data directory of a library", str(settings.data))
        with closing(SqliteCatalog(file)) as catalog:
            yield catalog.event_queue()

    def catalog_file(self, settings: Settings) -> Path:
        from .local_library import catalog_file

        return catalog_file(settings)

    def back_up(self, catalog: Path, file: Path) -> int:
        from image_processor.catalog.sqlite.backup import back_up

        return back_up(catalog, file)

    def restore(self, file: Path, catalog: Path) -> int:
        from image_processor.catalog.sqlite.backup import restore

        return restore(file, catalog)

    def find_catalog_damage(self, catalog: Path) -> str | None:
        from image_processor.catalog.sqlite.repair import find_damage

        return find_damage(catalog)

    def coordinator(self, settings: Settings) -> str | None:
        if not settings.uses_buckets or settings.table is None:
            return None
        from image_processor.domain.ports import RoleLeases
        from image_processor.standalone.coordination import ROLE

        with self.open_stores(settings) as stores:
            catalog = stores.catalog
            return catalog.holder(ROLE, datetime.now(UTC)) if isinstance(catalog, RoleLeases) else None

    def bucket_mark(self, settings: Settings) -> str:
        from image_processor.standalone.bucket_mark import describe_mark, read_mark

        from .local_library import catalog_name

        with self.open_stores(settings) as stores:
            stored = read_mark(stores.processed)
        return describe_mark(stored, catalog_name(settings), datetime.now(UTC))

    def stack_mark(self, settings: Settings, session: Any) -> str:
        from image_processor.standalone.bucket_mark import describe_mark, read_mark

        from .aws import open_aws_stores
        from .operator_access import access_from

        stored = read_mark(open_aws_stores(settings, access_from(session)).processed)
        # Functions without a table share their catalog with no server.
        catalog = None if "://" in (settings.table or "") else f"table {settings.table}"
        return describe_mark(stored, catalog, datetime.now(UTC))

    def repair_catalog(self, catalog: Path) -> RepairedCatalog:
        from image_processor.catalog.sqlite.repair import repair

        return repair(catalog, datetime.now(UTC))

    def data_dir_lock(self, data: Path) -> AbstractContextManager[object]:
        from image_processor.standalone.data_dir_lock import DataDirLock

        return DataDirLock(data, fix="; stop it first")

    def open_server(
        self, settings: Settings, load: Callable[[], Settings]
    ) -> AbstractContextManager[Callable[[socket.socket], None]]:
        from .server import open_server

        return open_server(settings, load)


def _submit_all(bucket: str, store: ObjectStore, submit: Callable[[Upload], object]) -> Callable[[], None]:
    """What a watcher calls when it has missed changes: what is unchanged is found to be so."""

    def submit_all() -> None:
        for entry in store.list():
            submit(Upload(bucket, entry.key))

    return submit_all
