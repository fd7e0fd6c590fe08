"""A machine for the HTTP tests: real routes, workers and catalog with a fake renderer.

Bytes that start with `bad` are refused. Processing waits while the gate is closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from msgspec.structs import replace

from image_processor.api.metrics import Metrics
from image_processor.api.server import Server
from image_processor.api.standalone_app import standalone_app
from image_processor.bootstrap.recipe import check_recipe
from image_processor.bootstrap.remote import open_remote_originals
from image_processor.bootstrap.standalone import local_stores, open_read_path
from image_processor.bootstrap.standalone_context import StandaloneContext
from image_processor.config.settings import Settings
from image_processor.domain.models import Outcome, Upload
from image_processor.domain.ports import Stores
from image_processor.engine.worker.decoded_files import DecodedCounts
from image_processor.ingest.process import Processor
from image_processor.standalone.activity import Activity
from image_processor.standalone.disk_space import DiskState, DiskStatus
from image_processor.standalone.live_recipe import LiveRecipe
from image_processor.standalone.progress import Progress
from image_processor.standalone.reconcile_loop import ReconcileReport
from image_processor.standalone.resumable_uploads import FOLDER, ResumableUploads
from image_processor.standalone.storage_report import StorageCount
from image_processor.standalone.stored_responses import FILE, StoredResponses
from image_processor.standalone.tracing import trace_rendition
from image_processor.standalone.workers import Workers
from image_processor.storage.directory import DirectoryStore
from support.ingest import IngestFixture

T = TypeVar("T")


class Uploads(DirectoryStore):
    """A directory store that returns all its objects at once."""

    def bodies(self) -> dict[str, bytes]:
        return {entry.key: self.get(entry.key).body for entry in self.list()}


@dataclass
class Machine:
    """The parts behind an application, which a test can control."""

    ingest: IngestFixture
    settings: Settings
    progress: Progress = field(default_factory=Progress)
    disk: DiskState = field(default_factory=lambda: DiskState(DiskStatus.OK, 10**9))
    data_trouble: str | None = None
    activity: Activity = field(default_factory=Activity)
    metrics: Metrics = field(default_factory=Metrics)
    storage: StorageCount | None = None
    decoded: DecodedCounts = field(default_factory=DecodedCounts)
    gate: threading.Event = field(default_factory=threading.Event)
    reconcile_report: ReconcileReport = field(default_factory=ReconcileReport)
    server: Server = field(init=False)
    application: FastAPI = field(init=False)
    live_recipe: LiveRecipe = field(init=False)
    resumable_uploads: ResumableUploads = field(init=False)
    checked_room: list[int] = field(default_factory=list)
    hit_server_processes: list[Any] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.gate.set()
        self.live_recipe = LiveRecipe(self.ingest.recipe, lambda recipe: check_recipe(recipe, self.settings))
        self.workers = Workers(self._worker_context, 1, self.progress)
        self.resumable_uploads = ResumableUploads(self.settings.data / FOLDER, 3600, self.checked_room.append)

    @contextmanager
    def _worker_context(self) -> Iterator[Callable[[Upload], Outcome]]:
        def process(upload: Upload) -> Outcome:
            self.gate.wait()
            processor: Processor = self.ingest.processor()
            outcome = processor.process(upload)
            self.activity.count_outcome(outcome, 2.0)
            self.metrics.count_outcome(outcome, 2.0)
            return outcome

        yield process

    def app(self) -> FastAPI:
        if self.live_recipe.current != self.ingest.recipe:  # the test has given it another one
            self.live_recipe.replace(self.ingest.recipe)
        settings = replace(self.settings, workers=1)
        stores = Stores(self.ingest.uploads, self.ingest.processed, self.ingest.catalog)
        remote = self._open.enter_context(
            open_remote_originals(settings, stores.uploads, self.workers.submit, self.metrics.count_fetch)
        )
        reading = open_read_path(
            *(settings, self.live_recipe, stores, self.workers.submit, self._renderer, self.activity),
            on_render=(self.metrics.count_render, trace_rendition),
            remote=remote,
        )
        delivery, coordinator = self._open.enter_context(reading)
        self.live_recipe.follow(delivery.resolver.use)
        self.application = standalone_app(
            StandaloneContext(
                self.settings,
                self.live_recipe,
                self.ingest.uploads,
                self.ingest.processed,
                self.ingest.catalog,
                self.workers.submit,
                self.workers.backlog,
                self.progress,
                delivery,
                coordinator,
                lambda recipe: replace(self.ingest.reconciler(), recipe=recipe),
                self.resumable_uploads,
                self._open.enter_context(closing(StoredResponses(self.settings.data / FILE))),
                activity=self.activity,
                metrics=self.metrics,
                storage=lambda: self.storage,
                reconcile_report=lambda: self.reconcile_report,
                data_trouble=lambda: self.data_trouble,
                disk_state=lambda: self.disk,
                local_stores=local_stores(self.ingest.uploads, self.ingest.processed),
                remote=remote,
                decoded=lambda: self.decoded,
            )
        )
        return self.application

    @contextmanager
    def _renderer(self) -> Iterator[Any]:
        def render(*args: Any, **kwargs: Any) -> Any:
            self.gate.wait()
            return self.ingest.render(*args, **kwargs)

        yield render

    def close(self) -> None:
        self.gate.set()
        self._open.close()
        self.workers.stop()
        self.ingest.catalog.close()


class Client:
    """Sends requests to an application without a socket, one after the other."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self._runner = runner

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine in the event loop of the application."""
        return self._runner.run(coroutine)

    def request(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, url, **kwargs))

    get = partialmethod(request, "GET")
    head = partialmethod(request, "HEAD")
    put = partialmethod(request, "PUT")
    post = partialmethod(request, "POST")
    delete = partialmethod(request, "DELETE")
    patch = partialmethod(request, "PATCH")
    options = partialmethod(request, "OPTIONS")
