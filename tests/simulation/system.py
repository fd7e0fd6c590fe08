"""The simulated system: the real code in simulated processes, over faulty ports and with a fake renderer,
while the oracle checks every result.
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

from msgspec.structs import replace

from image_processor.aws_lambda import invalidate_function, log
from image_processor.catalog.objects import ObjectCatalog
from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe
from image_processor.delivery.on_demand import OnDemandRenderer
from image_processor.delivery.repository import RenditionRepository
from image_processor.delivery.resolver import RenditionRef
from image_processor.domain.errors import (
    ImageProcessorError,
    LeaseBusy,
    PreconditionFailed,
    Reason,
    Unavailable,
)
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import (
    IccPolicy,
    Limits,
    MessageKind,
    OutboxMessage,
    Outcome,
    OutcomeStatus,
    Upload,
)
from image_processor.domain.transformation import Transformation
from image_processor.ingest import process as process_module
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.outbox import Outbox
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from image_processor.standalone import webhooks
from image_processor.standalone.webhooks import Webhook, WebhookSender
from support.ingest import BUCKET, fake_render, rendition_bytes
from support.memory_catalog import MemoryCatalog
from support.memory_store import MemoryStore

from . import messages
from .faults import FaultInjector, FaultProfile, FaultyPort
from .loop import Loop, Process, SimulatedExecutor
from .oracle import RECORDS, ObservedStore, Oracle
from .receivers import PAUSE, Receivers
from .troubles import RENDER_DEADLINE, Troubles

LEASE = 300.0
CACHE_CONTROL = "public, max-age=60"
_START = datetime(2026, 1, 1, tzinfo=UTC)
_SLOWEST_RENDER = 3.0
_RESTART = 600.0
_OUTAGE = 3 * 24 * 3600.0
"""How long a receiver of webhooks may be down, in seconds: longer than its events are tried."""
_NO_OUTBOX = Outbox()
_CHANGES = ("processed.put", "processed.delete")
_GIVES_BACK = ("catalog.release", "catalog.complete", "catalog.delete")

Call = Callable[[Upload], Outcome]


@contextmanager
def simulated_threads() -> Iterator[None]:
    """Replace the package's thread pools by threads of the loop, and silence its log."""
    with (
        patch.object(process_module, "ThreadPoolExecutor", SimulatedExecutor),
        patch("concurrent.futures.ThreadPoolExecutor", SimulatedExecutor),
        patch.object(log, "line", lambda *_args, **_facts: None),
        patch.object(log, "metrics", lambda *_args: None),
        patch.object(webhooks._log, "warning", lambda *_args: None),
    ):
        yield


class OneMachineCatalog(SqliteCatalog):
    """The catalog of one machine, which also knows what only the oracle asks for."""

    def __init__(self) -> None:
        super().__init__(":memory:")

    def keys_leased_by(self, owner: str) -> set[str]:
        """As MemoryCatalog."""
        leased = "SELECT key FROM records WHERE claim_token IS NOT NULL AND claim_owner = :owner"
        return {row["key"] for row in self._execute(leased, {"owner": owner})}


class SimulatedSystem:
    """Stores, catalog, and the processes that work on them.

    Mutations replace the classes and ``port`` to remove a safeguard; a campaign must notice it.
    """

    processor_class: type[Processor] = Processor
    reconciler_class: type[Reconciler] = MergingReconciler
    renderer_class: type[OnDemandRenderer] = OnDemandRenderer
    repository_class: type[RenditionRepository] = RenditionRepository
    object_catalog_class: type[ObjectCatalog] = ObjectCatalog
    webhook_sender_class: type[WebhookSender] = WebhookSender

    def __init__(self, seed: int, profile: FaultProfile, recipe: Recipe) -> None:
        self.random = Random(f"world {seed}")
        self.profile = profile
        self.loop = Loop()
        self.trace: deque[str] = deque(maxlen=200)
        self.digest = 0
        self.oracle = Oracle(recipe)
        self.oracle.on_violation = self._record_violation
        self.oracle.clocks_agree = not profile.skew
        self.evidence: list[str] = []
        etags = self.oracle.etags = self.random.random() < 0.5
        self.uploads: MemoryStore = MemoryStore(etags=etags)
        self.receivers = Receivers()
        self.processed = ObservedStore(self.oracle, etags=etags, on_put=self._stored)
        self.troubles = Troubles(profile, Random(f"trouble {seed}"), self.uploads, self.processed)
        self.faults = FaultInjector(
            self.loop, profile, Random(f"line {seed}"), self.note, troubles=self.troubles
        )
        self.catalog: Any = OneMachineCatalog() if profile.webhooks else MemoryCatalog()
        self.records_as_objects = self.random.random() < 0.25 and not profile.webhooks
        is_down = profile.webhooks and self.random.random() < 0.3
        self.receiver_is_back_at = _OUTAGE if is_down else 0.0
        self.server: Process | None = None
        """The process of one machine that sends webhooks, while it works."""
        self.counts: Counter[str] = Counter()
        self.rendered: Counter[bytes] = Counter()
        self.versions: dict[str, list[tuple[float, str | None]]] = defaultdict(lambda: [(0.0, None)])
        self.bodies: dict[str, list[tuple[float, bytes | None]]] = defaultdict(lambda: [(0.0, None)])
        self._processes = 0

    def _stored(self, key: str, body: bytes) -> None:
        if not self.profile.webhooks:  # one machine has no CDN that it could tell
            self.receivers.stored(key, body)

    def note(self, text: str) -> None:
        """Add a line to the trace and to the digest, which identifies the history."""
        line = f"{self.loop.now:.3f} {text}"
        self.digest = zlib.crc32(line.encode(errors="replace"), self.digest)
        self.trace.append(line)

    def _record_violation(self, text: str) -> None:
        """Keep the trace up to the first violation: it shows the cause."""
        self.note(f"BROKEN: {text}")
        self.evidence = self.evidence or list(self.trace)

    def process(self, kind: str) -> Process:
        self._processes += 1
        return Process(f"{kind}{self._processes}")

    def processor(self, process: Process) -> Call:
        """Processor.process as ``process`` calls it; the oracle checks each outcome."""
        processor = self.processor_class(
            BUCKET,
            *self.ports(process),
            self.oracle.recipe,
            Limits(),
            IccPolicy.STRIP,
            CACHE_CONTROL,
            render=lambda *args, **kwargs: self.render(process, *args, **kwargs),
            owner=process.name,
            lease_duration=timedelta(seconds=LEASE),
            clock=lambda: _START + timedelta(seconds=self.loop.now + self.troubles.clock_error(process)),
            outbox=self._outbox(process),
        )
        return lambda upload: self._checked(process, processor, upload)

    def _outbox(self, process: Process) -> Outbox:
        """Sends events to the receiver and invalidations to their queue, with the faults of the profile."""

        def send_events(sent: Any) -> None:
            self.faults.call(process, "bus.send", lambda: self.receivers.receive(sent))

        def send_invalidations(sent: Any) -> None:
            self.faults.call(process, "invalidations.send", lambda: self.receivers.queue_invalidations(sent))
            self.loop.at(self.loop.now + 1.0, self.invalidate)

        if self.profile.webhooks:
            return Outbox(frozenset({MessageKind.EVENT}))
        senders = {MessageKind.EVENT: send_events, MessageKind.INVALIDATION: send_invalidations}
        return Outbox(frozenset(senders), senders)

    def send_webhooks(self) -> None:
        """Let the server of one machine send what waits. One that was killed is started again."""
        if self.catalog.event_queue().next_due() is None:
            return
        self.loop.at(self.loop.now + _RESTART, self.send_webhooks)
        if self.server is None or not self.server.alive:
            process = self.server = self.process("server")
            self.loop.start(process, lambda: self._serve_webhooks(process))

    def redrive_webhooks(self) -> None:
        """An operator sends the dead events again, now that the receiver answers."""
        self.receiver_is_back_at = 0.0
        self.counts["webhooks redriven"] += self.catalog.event_queue().redrive(self._now())
        self.send_webhooks()

    def _now(self) -> datetime:
        return _START + timedelta(seconds=self.loop.now)

    def _serve_webhooks(self, process: Process) -> None:
        queue = FaultyPort(self, process, "webhooks", self.catalog.event_queue())
        sender = self.webhook_sender_class(
            Webhook("http://receiver/", (b"secret",), days=1),
            queue,
            self._now,
            self.random.random,
        )
        vars(sender)["_post"] = partial(self._post_webhook, process)
        while self.catalog.event_queue().next_due() is not None:
            try:
                pause = sender.send_due()
            except ImageProcessorError:
                pause = PAUSE
            self.loop.sleep(pause)
        process.alive = False

    def _post_webhook(self, process: Process, message: OutboxMessage) -> tuple[int | None, str | None]:
        """As WebhookSender._post, to a receiver that may refuse, not answer, or accept without an answer."""
        self.counts["webhooks"] += 1
        refuses = self.random.random() < self.profile.webhooks or self.loop.now < self.receiver_is_back_at
        answer = self.random.choice([500, None]) if refuses else 200
        is_back = self.loop.now >= self.receiver_is_back_at
        accepts = answer == 200 or (answer is None and is_back and self.random.random() < 0.3)
        self.counts["webhooks failed"] += answer != 200

        def arrive() -> None:
            if accepts:
                self.receivers.receive([message])

        self.faults.call(process, "webhooks.post", arrive)
        return answer, None if answer == 200 else f"status {answer}"

    def invalidate(self) -> None:
        """Start the function `invalidate` with all that waits in its queue, again after a visibility timeout
        if something is left."""
        if not self.receivers.waiting:
            return
        process = self.process("invalidate")
        self.loop.start(process, lambda: self._invalidate(process))
        self.loop.at(self.loop.now + PAUSE, self.invalidate)

    def _invalidate(self, process: Process) -> None:
        batch = list(self.receivers.waiting.items())
        answer = invalidate_function.handle(
            messages.batch(batch), lambda paths, reference: self._call_cdn(process, paths, reference)
        )
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for id_, _ in batch:
            if id_ not in failed:
                self.receivers.waiting.pop(id_, None)
        self.counts["invalidations retried"] += len(failed)

    def _call_cdn(self, process: Process, paths: Any, reference: str) -> None:
        if self.profile.fail and self.random.random() < 0.5:
            raise Unavailable("too many invalidations are in progress")
        self.faults.call(
            process,
            "cdn.invalidate",
            lambda: self.receivers.invalidate(paths, reference, self.processed.bodies()),
        )

    def unheard(self) -> list[str]:
        """Outcomes that the receiver has not heard of, and changes that the CDN has not."""
        records = self._faultless_catalog().scan()
        are_ordered = not self.profile.skew
        return self.receivers.problems(records, self.processed.bodies(), are_ordered=are_ordered)

    def ports(self, process: Process) -> tuple[Any, Any, Any]:
        """Uploads, processed and catalog as ``process`` calls them."""
        sides = (
            ("uploads", self.uploads),
            ("processed", self.processed),
            ("catalog", self.open_catalog(process)),
        )
        uploads, processed, catalog = (
            FaultyPort(self, process, side, self.port(side, port)) for side, port in sides
        )
        return uploads, processed, catalog

    def port(self, side: str, port: Any) -> Any:  # noqa: ARG002 - mutations replace it
        return port

    def effect(self, process: Process, what: str, args: tuple[Any, ...], act: Callable[[], Any]) -> Any:
        """Let a call have its effect. A worker must not change a rendition after it has given its lease back:
        another one may have acquired it."""
        if what in _CHANGES and not (process.name.startswith("request") or process.deletes_orphan):
            original, _ = self.oracle.original_of(args[0])
            if original is not None and image_id(BUCKET, original) not in process.holds:
                self.oracle.violate(f"{process.name} calls {what} of {args[0]!r} without a lease")
        if what == "processed.delete" and process.name.startswith("request"):
            self.receivers.deleted_by_view(args[0], self.processed.bodies().get(args[0], b""))
        self.oracle.had_conflict = what in _CHANGES and args[0] in process.conflicts
        try:
            result = act()
        except PreconditionFailed:
            if what in _CHANGES:
                process.conflicts.add(args[0])
            raise
        if what == "catalog.acquire":
            process.holds.add(result.image_id)
        elif what in _GIVES_BACK:
            process.holds.discard(args[0].image_id)
            if self.profile.webhooks:
                self.loop.at(self.loop.now + 0.1, self.send_webhooks)
        return result

    def open_catalog(self, process: Process) -> Any:
        """The catalog of a process: a table, or objects in the processed store."""
        if self.records_as_objects:
            return self.object_catalog_class(FaultyPort(self, process, "records", self.processed))
        return self.catalog

    def render(self, process: Process, body: bytes, *args: Any, **kwargs: Any) -> Any:
        self.counts["renders"] += 1
        self.rendered[body] += 1
        if self.troubles.render_stops():
            self.counts["stopped renders"] += 1
            self.loop.sleep(RENDER_DEADLINE)
            raise Unavailable("the renderer did not answer and was killed")
        self.loop.sleep(_SLOWEST_RENDER * self.random.random())
        return self.faults.call(process, "engine.render", lambda: fake_render(body, *args, **kwargs))

    def _checked(self, process: Process, processor: Processor, upload: Upload) -> Outcome:
        process.wrote_at = began = self.loop.now
        try:
            outcome = processor.process(upload)
        except ImageProcessorError as error:
            self.counts["errors"] += 1
            if isinstance(error, LeaseBusy) and upload.key in self.catalog.keys_leased_by(process.name):
                self.oracle.violate(f"{process.name} waits for its own lease of {upload.key!r}")
            if not process.unsure and upload.key in self.catalog.keys_leased_by(process.name):
                self.oracle.violate(f"{process.name} failed and kept its lease of {upload.key!r}")
            raise
        self.note(f"{process.name} {upload.key!r}: {outcome.status}")
        self.counts[outcome.status] += 1
        self.counts["unsent"] += bool(outcome.unsent)
        if processor.recipe is self.oracle.recipe and outcome.status is not OutcomeStatus.SKIPPED:
            alone = process.acquired_at >= began or outcome.status is OutcomeStatus.DELETED
            self._check_outcome(upload.key, outcome, process.wrote_at, alone=alone)
        # On one machine another thread sends them: that is not left to a queue's next try.
        return replace(outcome, unsent=()) if self.profile.webhooks else outcome

    def _check_outcome(self, key: str, outcome: Outcome, since: float, *, alone: bool) -> None:
        """An outcome must be about a version that existed at ``since`` or later, when the record was
        written. ``alone``: the worker had the lease, so no other worker is about to write."""
        version = outcome.record.version if outcome.record else None
        changes = self.versions[key]
        if key in self.uploads.hidden or (outcome.record and outcome.record.reason is Reason.UNREADABLE):
            return  # the worker could not see the version, or nothing but that
        if alone and changes[-1][1] == version:
            self.oracle.mark_finished(key)
        begun = max(at for at, _ in changes if at <= since)
        if version not in {changed for at, changed in changes if at >= begun}:
            self.oracle.violate(
                f"{key!r}: the outcome {outcome.status} is about a version replaced long before"
            )

    def request(self, key: str, transformation: Transformation) -> None:
        """A client requests a rendition that ingest does not make; it is made unless it is stored."""
        process = self.process("request")
        self.loop.start(process, lambda: self._serve(process, key, transformation))

    def _serve(self, process: Process, key: str, transformation: Transformation) -> None:
        recipe = self.oracle.recipe
        if transformation in self.oracle.transformations(key):
            return  # ingest makes it
        began = self.loop.now
        uploads, processed, catalog = self.ports(process)
        repository = self.repository_class(BUCKET, uploads, processed, catalog, IccPolicy.STRIP)
        renderer = self.renderer_class(
            repository, partial(self.render, process), Limits(), lambda _: CACHE_CONTROL, 3, recipe.lazy_for
        )
        reference = reference_to(recipe, key, transformation)
        try:
            stored = repository.find(reference) or renderer.render(reference).stored
            body = processed.get(reference.stored_key, version=stored.entry.version).body
        except ImageProcessorError:
            self.counts["requests failed"] += 1
            return
        self.counts["requests served"] += 1
        self.note(f"{process.name} {key!r} gets {body!r}")
        self._check_response(key, transformation, body, began)

    def _check_response(self, key: str, transformation: Transformation, body: bytes, began: float) -> None:
        """A response must be made from an original that existed at some moment of the request."""
        changes = self.bodies[key]
        since = max(at for at, _ in changes if at <= began)
        originals = [original for at, original in changes if at >= since and original is not None]
        if body not in [rendition_bytes(original, transformation) for original in originals]:
            self.oracle.violate(f"{key!r} was served from a version replaced long before: {body!r}")

    def reconcile(self) -> None:
        """Start a process that reconciles, with the faults of the profile."""
        process = self.process("reconcile")
        self.loop.start(process, lambda: self._reconcile(process))

    def _reconcile(self, process: Process) -> None:
        processor = self.processor(process)
        reconciler = self._reconciler(*self.ports(process), self._outbox(process))
        try:
            for finding in list(reconciler.findings()):
                self.counts["found"] += 1
                if finding.orphan is not None:
                    process.deletes_orphan = True
                    reconciler.delete_orphan(finding)
                    process.deletes_orphan = False
                elif finding.upload is not None:
                    self._apply(processor, finding.upload)
        except ImageProcessorError:
            self.counts["reconciles ended early"] += 1

    def _reconciler(
        self, uploads: Any, processed: Any, catalog: Any, outbox: Outbox = _NO_OUTBOX
    ) -> Reconciler:
        recipe = self.oracle.recipe
        ports = BUCKET, uploads, processed, catalog, recipe
        return self.reconciler_class(
            *ports,
            Limits(),
            IccPolicy.STRIP,
            CACHE_CONTROL,
            outboxes=not self.profile.webhooks,  # the server's thread sends them
            invalidate=outbox.senders.get(MessageKind.INVALIDATION),
        )

    def _apply(self, processor: Call, upload: Upload) -> None:
        try:
            processor(upload)
        except ImageProcessorError:
            self.counts["findings failed"] += 1

    def record(self, key: str) -> Any:
        """The record of ``key``, read without faults."""
        return self._faultless_catalog().get(image_id(BUCKET, key))

    def catalog_keys(self) -> set[str]:
        return {record.key for record in self._faultless_catalog().scan()}

    def findings(self) -> list[str]:
        """What reconcile would find now, without faults."""
        found = self._reconciler(self.uploads, self.processed, self._faultless_catalog()).findings()
        return [f"{finding.drift} {finding.key!r}" for finding in found]

    def _faultless_catalog(self) -> Any:
        return SequentialObjectCatalog(self.processed) if self.records_as_objects else self.catalog


def reference_to(recipe: Recipe, key: str, transformation: Transformation) -> RenditionRef:
    """As delivery resolves a request for a rendition that ingest does not make."""
    stored_key = rendition_prefix(key) + recipe.stored_name(key, transformation)
    lazy = stored_key in recipe.lazy_for(key)
    return RenditionRef(key, stored_key, transformation, declared=lazy, lazy=lazy)


class SequentialObjectCatalog(ObjectCatalog):
    """An ObjectCatalog whose scans start no threads, for reads from outside the loop."""

    def _scan(self, after: str = "") -> Iterator[Any]:
        for entry in list(self._store.list(RECORDS)):
            id_ = entry.key.rpartition("/")[2].removesuffix(".json")
            if id_ > after:
                state, _ = self._read(id_)
                yield id_, state
