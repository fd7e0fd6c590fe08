"""The real code as processes of the simulation run it: over wires, with a render that needs no pixels,
and with the oracle looking on.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

from image_processor.aws_lambda import process_function as app_ingest
from image_processor.catalog.objects import ObjectCatalog
from image_processor.config.recipe import Recipe
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.keys import image_id
from image_processor.domain.models import IccPolicy, Limits, Outcome, OutcomeStatus, Upload
from image_processor.domain.transformation import Transformation
from image_processor.ingest import process as process_module
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from support.ingest import BUCKET, fake_render, rendition_bytes
from support.memory_catalog import MemoryCatalog
from support.memory_store import MemoryStore

from .loop import Loop, Pool, Process
from .oracle import RECORDS, ObservedStore, Oracle, on_demand
from .weather import Line, Weather, Wire

LEASE = 300.0
_START = datetime(2026, 1, 1, tzinfo=UTC)
_SLOWEST_RENDER = 3.0

Call = Callable[[Upload], Outcome]


@contextmanager
def installed() -> Iterator[None]:
    """The package with threads of the loop for its own, and without its log."""
    with (
        patch.object(process_module, "ThreadPoolExecutor", Pool),
        patch("concurrent.futures.ThreadPoolExecutor", Pool),
        patch.object(app_ingest.log, "line", lambda *_args, **_facts: None),
        patch.object(app_ingest.log, "metrics", lambda *_args: None),
    ):
        yield


class Works:
    """Stores, catalog, and whatever works on them. The classes and ``port`` are there to be replaced:
    that is how a safeguard is taken away, to see that it is noticed."""

    processor_class: type[Processor] = Processor
    reconciler_class: type[Reconciler] = Reconciler
    maker_class: type[OnDemandRenderer] = OnDemandRenderer
    kept_class: type[RenditionRepository] = RenditionRepository

    def __init__(self, seed: int, weather: Weather, recipe: Recipe) -> None:
        self.random = Random(f"world {seed}")
        self.loop = Loop()
        self.trace: deque[str] = deque(maxlen=200)
        self.digest = 0
        self.line = Line(self.loop, weather, Random(f"line {seed}"), self.note)
        self.oracle = Oracle(recipe)
        self.oracle.at_breach = self._breach
        self.evidence: list[str] = []
        tags = self.oracle.tags = self.random.random() < 0.5
        self.uploads: MemoryStore = MemoryStore(etags=tags)
        self.processed = ObservedStore(self.oracle, tags=tags)
        self.catalog = MemoryCatalog()
        self.records_as_objects = self.random.random() < 0.25
        self.counts: Counter[str] = Counter()
        self.rendered: Counter[bytes] = Counter()
        self.versions: dict[str, list[tuple[float, str | None]]] = defaultdict(lambda: [(0.0, None)])
        self.bodies: dict[str, list[tuple[float, bytes | None]]] = defaultdict(lambda: [(0.0, None)])
        self._processes = 0

    def note(self, text: str) -> None:
        line = f"{self.loop.now:.3f} {text}"
        self.digest = zlib.crc32(line.encode(errors="replace"), self.digest)
        self.trace.append(line)

    def _breach(self, text: str) -> None:
        """What led to it is worth more than what came after."""
        self.note(f"BROKEN: {text}")
        self.evidence = self.evidence or list(self.trace)

    def process(self, kind: str) -> Process:
        self._processes += 1
        return Process(f"{kind}{self._processes}")

    def processor(self, process: Process) -> Call:
        """Processor.process as ``process`` runs it, watched by the oracle."""
        processor = self.processor_class(
            BUCKET,
            *self.ports(process),
            self.oracle.recipe,
            Limits(),
            IccPolicy.STRIP,
            render=lambda *args, **kwargs: self.render(process, *args, **kwargs),
            cache_control="public, max-age=60",
            owner=process.name,
            lease_duration=timedelta(seconds=LEASE),
            clock=lambda: _START + timedelta(seconds=self.loop.now),
        )
        return lambda upload: self._watched(process, processor, upload)

    def ports(self, process: Process) -> tuple[Any, Any, Any]:
        """Uploads, processed and catalog as ``process`` reaches them."""
        sides = (
            ("uploads", self.uploads),
            ("processed", self.processed),
            ("catalog", self.open_catalog(process)),
        )
        uploads, processed, catalog = (
            Wire(self, process, side, self.port(side, port)) for side, port in sides
        )
        return uploads, processed, catalog

    def port(self, side: str, port: Any) -> Any:  # noqa: ARG002 - for others to replace
        return port

    def open_catalog(self, process: Process) -> Any:
        """What a process keeps its records with: a table, or the objects of the processed store."""
        if self.records_as_objects:
            return ObjectCatalog(Wire(self, process, "records", self.processed))
        return self.catalog

    def render(self, process: Process, body: bytes, *args: Any, **kwargs: Any) -> Any:
        self.counts["renders"] += 1
        self.rendered[body] += 1
        self.loop.sleep(_SLOWEST_RENDER * self.random.random())
        return self.line.call(process, "engine.render", lambda: fake_render(body, *args, **kwargs))

    def _watched(self, process: Process, processor: Processor, upload: Upload) -> Outcome:
        process.wrote_at = began = self.loop.now
        try:
            outcome = processor.process(upload)
        except ImageProcessorError:
            self.counts["errors"] += 1
            if not process.unsure and upload.key in self.catalog.keys_leased_by(process.name):
                self.oracle.breach(f"{process.name} failed and kept its claim on {upload.key!r}")
            raise
        self.note(f"{process.name} {upload.key!r}: {outcome.status}")
        self.counts[outcome.status] += 1
        if processor.recipe is self.oracle.recipe and outcome.status is not OutcomeStatus.SKIPPED:
            alone = process.claimed_at >= began or outcome.status is OutcomeStatus.DELETED
            self._judge(upload.key, outcome, process.wrote_at, alone=alone)
        return outcome

    def _judge(self, key: str, outcome: Outcome, since: float, *, alone: bool) -> None:
        """What is told to be done was done for what lived after the record was written. Only who was
        ``alone`` with the key knows that nobody is about to write."""
        version = outcome.record.version if outcome.record else None
        changes = self.versions[key]
        if alone and changes[-1][1] == version:
            self.oracle.resolve(key)
        begun = max(at for at, _ in changes if at <= since)
        if version not in {each for at, each in changes if at >= begun}:
            self.oracle.breach(f"{key!r} was told to be {outcome.status}, but was another long before")

    def visit(self, key: str, transformation: Transformation) -> None:
        """Somebody asks for a rendition that no recipe declares; it is made if it is not there."""
        process = self.process("visit")
        self.loop.start(process, lambda: self._visit(process, key, transformation))

    def _visit(self, process: Process, key: str, transformation: Transformation) -> None:
        if transformation in self.oracle.transformations(key):
            return  # ingest makes it
        began = self.loop.now
        uploads, processed, catalog = self.ports(process)
        kept = self.kept_class(BUCKET, uploads, processed, catalog, IccPolicy.STRIP)
        maker = self.maker_class(kept, partial(self.render, process), Limits(), lambda _: "no-store", 3)
        wanted = RenditionRef(key, on_demand(key, transformation), transformation, declared=False)
        try:
            stored = kept.find(wanted) or maker.render(wanted).stored
            body = processed.get(wanted.stored_key, version=stored.entry.version).body
        except ImageProcessorError:
            self.counts["visits in vain"] += 1
            return
        self.counts["visits"] += 1
        self.note(f"{process.name} {key!r} sees {body!r}")
        self._judge_visit(key, transformation, body, began)

    def _judge_visit(self, key: str, transformation: Transformation, body: bytes, began: float) -> None:
        """Nobody is shown what was not the picture at some moment of the visit."""
        changes = self.bodies[key]
        since = max(at for at, _ in changes if at <= began)
        lived = [original for at, original in changes if at >= since and original is not None]
        if body not in [rendition_bytes(original, transformation) for original in lived]:
            self.oracle.breach(f"{key!r} was shown as it was long ago: {body!r}")

    def sweep(self) -> None:
        """Reconcile as a function of its own does, in whatever weather there is."""
        process = self.process("sweep")
        self.loop.start(process, lambda: self._sweep(process))

    def _sweep(self, process: Process) -> None:
        processor = self.processor(process)
        reconciler = self._reconciler(*self.ports(process))
        try:
            for finding in list(reconciler.findings()):
                self.counts["found"] += 1
                if finding.orphan is not None:
                    self.processed.delete(finding.orphan)
                elif finding.upload is not None:
                    self._sweep_one(processor, finding.upload)
        except ImageProcessorError:
            self.counts["sweeps ended early"] += 1

    def _reconciler(self, uploads: Any, processed: Any, catalog: Any) -> Reconciler:
        recipe = self.oracle.recipe
        return self.reconciler_class(BUCKET, uploads, processed, catalog, recipe, Limits(), IccPolicy.STRIP)

    def _sweep_one(self, processor: Call, upload: Upload) -> None:
        try:
            processor(upload)
        except ImageProcessorError:
            self.counts["sweeps failed"] += 1

    def record(self, key: str) -> Any:
        """What the catalog says of ``key``."""
        return self._quiet_catalog().get(image_id(BUCKET, key))

    def catalog_keys(self) -> set[str]:
        return {record.key for record in self._quiet_catalog().scan()}

    def findings(self) -> list[str]:
        """What a search of all would still find to do."""
        found = self._reconciler(self.uploads, self.processed, self._quiet_catalog()).findings()
        return [f"{finding.drift} {finding.key!r}" for finding in found]

    def _quiet_catalog(self) -> Any:
        return QuietCatalog(self.processed) if self.records_as_objects else self.catalog


class QuietCatalog(ObjectCatalog):
    """ObjectCatalog read from outside the loop, where no thread can be started."""

    def scan(self) -> Iterator[Any]:
        for entry in list(self._store.list(RECORDS)):
            record = self.get(entry.key.rpartition("/")[2].removesuffix(".json"))
            if record is not None:
                yield record
