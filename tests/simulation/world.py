"""The simulated world: users, events on their way, a queue, functions that come and go, two stores
and a catalog; and in the middle the real code, called as Lambda calls it.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from image_processor.app import ingest as app_ingest
from image_processor.catalogs.objects import ObjectCatalog
from image_processor.errors import ImageProcessorError
from image_processor.ingest import process as process_module
from image_processor.ingest.process import Processor
from image_processor.ingest.reconcile import Reconciler
from image_processor.keys import image_id, rendition_prefix
from image_processor.model import IccPolicy, Limits, Outcome, Result, Upload
from image_processor.ports import Attributes
from image_processor.recipes import Recipe
from support.ingest import BUCKET, fake_render
from support.memory import MemoryStore
from support.memory_catalog import MemoryCatalog

from . import letters
from .history import History
from .loop import Loop, Pool, Process, Thread
from .mailbox import Mailbox
from .oracle import RECORDS, ObservedStore, Oracle
from .weather import Line, Weather, Wire

LEASE = 300.0
_START = datetime(2026, 1, 1, tzinfo=UTC)
_WEEKS = 21 * 24 * 3600.0
_SLOWEST_RENDER = 3.0
_LONG_POLL = 600.0

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


class World:
    """Everything of one history. The classes and ``port`` are there to be replaced: that is how a
    safeguard is taken away, to see that it is noticed, and how other code can join."""

    processor_class: type[Processor] = Processor
    reconciler_class: type[Reconciler] = Reconciler

    def __init__(
        self, seed: int, weather: Weather, history: History, *, concurrency: int = 4, batch: int = 10
    ) -> None:
        self.weather, self.history, self.concurrency, self.batch = weather, history, concurrency, batch
        self.random = Random(f"world {seed}")
        self.loop = Loop()
        self.trace: deque[str] = deque(maxlen=200)
        self.digest = 0
        self.line = Line(self.loop, weather, Random(f"line {seed}"), self.note)
        self.oracle = Oracle(history.recipe)
        self.oracle.at_breach = self._breach
        self.evidence: list[str] = []
        tags = self.random.random() < 0.5
        self.uploads: MemoryStore = MemoryStore(tags=tags)
        self.processed = ObservedStore(self.oracle, tags=tags)
        self.catalog = MemoryCatalog()
        self.records_as_objects = self.random.random() < 0.25
        self.mailbox = Mailbox(self.random)
        self.counts: Counter[str] = Counter()
        self.rendered: Counter[bytes] = Counter()
        self.peak = self._working = 0
        self._idle: list[Thread] = []
        self._sequencer = self._processes = 0
        self._told: list[str] = []
        self._versions: dict[str, list[tuple[float, str | None]]] = defaultdict(lambda: [(0.0, None)])
        self._world = Process("world")

    # What happens of itself.

    def note(self, text: str) -> None:
        line = f"{self.loop.now:.3f} {text}"
        self.digest = zlib.crc32(line.encode(errors="replace"), self.digest)
        self.trace.append(line)

    def _breach(self, text: str) -> None:
        """What led to it is worth more than what came after."""
        self.note(f"BROKEN: {text}")
        self.evidence = self.evidence or list(self.trace)

    def begin(self) -> None:
        """Set the history going; `loop.run` then goes through it."""
        recipes = [self.history.recipe]
        if self.history.recipe_change:
            at, recipe = self.history.recipe_change
            recipes.append(recipe)
            self.loop.at(at, lambda: self._deploy(recipe))
        for key in self.history.keys:
            self.oracle.learn(key, recipes)
        for act in self.history.acts:
            self.loop.at(act.at, lambda act=act: self.act(act.key, act.body))
        for at in self.history.noise:
            self.loop.at(at, lambda: self.mail(self._noise()))
        for at in self.history.sweeps:
            self.loop.at(at, self.sweep)
        self._start_functions()

    def _deploy(self, recipe: Recipe) -> None:
        self.note("recipe changes")
        self.oracle.changed_recipe(recipe)

    def act(self, key: str, body: bytes | None) -> None:
        """A user uploads or deletes, and the event of it goes on its way, or does not."""
        self.note(f"user {key!r} {body!r}")
        self._sequencer += 1
        self.oracle.acted(key, body)
        version = None
        if body is None:
            self.uploads.delete(key)
        else:
            version = self.uploads.put(key, body, Attributes()).version
        self._versions[key].append((self.loop.now, version))
        if self.random.random() < self.weather.drop:
            self.counts["dropped"] += 1
            return
        for _ in range(self.random.randint(1, self.weather.copies)):
            text = letters.notification(self.random, key, deleted=body is None, sequencer=self._sequencer)
            self._told.append(text)
            delay = self.weather.late * self.random.random() ** 3
            self.loop.at(self.loop.now + delay, lambda text=text: self.mail(text))

    def _noise(self) -> str:
        """Something in the queue that should change nothing."""
        if self.random.random() < 0.5:
            return self.random.choice(letters.NOISE)
        key = self.random.choice(self.history.keys)
        names = [rendition_prefix(key) + each.name for each in self.oracle.transformations(key)] or ["a"]
        ours = letters.notification(self.random, names[0][:1000], deleted=False, bucket="processed")
        return letters.mutated(self.random, ours) if self.random.random() < 0.3 else ours

    # The functions that work.

    def _start_functions(self) -> None:
        for _ in range(self.concurrency):
            self.loop.start(self._world, self._poll)

    def _poll(self) -> None:
        """One slot of concurrency: it takes a batch, waits for its end, takes the next."""
        while True:
            taken = self.mailbox.receive(self.loop.now, self.random.randint(1, self.batch))
            if taken:
                self._invoke([(letter.id, letter.body) for letter in taken])
                continue
            upcoming = self.mailbox.next_visible(self.loop.now)
            if upcoming is None and not self.loop.coming:
                return
            self._idle.append(self.loop.thread())
            self.loop.sleep(_LONG_POLL if upcoming is None else max(0.0, upcoming - self.loop.now))

    def mail(self, body: str) -> None:
        """A message reaches the queue, and whoever waits for one."""
        self.mailbox.send(body)
        for thread in self._idle:
            self.loop.wake(thread)
        self._idle.clear()

    def _invoke(self, batch: list[tuple[str, str]]) -> None:
        process = self.process("fn")
        self._working += 1
        self.peak = max(self.peak, self._working)
        self.loop.wait(self.loop.start(process, lambda: self._work(process, batch)).ended)
        self._working -= 1

    def process(self, kind: str) -> Process:
        self._processes += 1
        return Process(f"{kind}{self._processes}")

    def _work(self, process: Process, batch: list[tuple[str, str]]) -> None:
        event = letters.batch(batch)
        answer = app_ingest.handle(event, self.processor(process), BUCKET, lambda: 60_000)
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for id_, _ in batch:
            if id_ in failed:
                self.counts["retried"] += 1
            else:
                self.mailbox.settle(id_)

    def processor(self, process: Process) -> Call:
        """Processor.process as ``process`` runs it, watched by the oracle."""
        processor = self.processor_class(
            *self.ports(process),
            self.oracle.recipe,
            lambda *args, **kwargs: self._render(process, *args, **kwargs),
            Limits(),
            IccPolicy.STRIP,
            "public, max-age=60",
            process.name,
            timedelta(seconds=LEASE),
            lambda: _START + timedelta(seconds=self.loop.now),
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

    def _render(self, process: Process, body: bytes, *args: Any, **kwargs: Any) -> Any:
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
            if not process.unsure and upload.key in self.catalog.claims_of(process.name):
                self.oracle.breach(f"{process.name} failed and kept its claim on {upload.key!r}")
            raise
        self.note(f"{process.name} {upload.key!r}: {outcome.result}")
        self.counts[outcome.result] += 1
        if processor.recipe is self.oracle.recipe and outcome.result is not Result.SKIPPED:
            alone = process.claimed_at >= began or outcome.result is Result.DELETED
            self._judge(upload.key, outcome, process.wrote_at, alone=alone)
        return outcome

    def _judge(self, key: str, outcome: Outcome, since: float, *, alone: bool) -> None:
        """What is told to be done was done for what lived after the record was written. Only who was
        ``alone`` with the key knows that nobody is about to write."""
        version = outcome.record.version if outcome.record else None
        changes = self._versions[key]
        if alone and changes[-1][1] == version:
            self.oracle.settle(key)
        begun = max(at for at, _ in changes if at <= since)
        if version not in {each for at, each in changes if at >= begun}:
            self.oracle.breach(f"{key!r} was told to be {outcome.result}, but was another long before")

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
                if finding.stray is not None:
                    self.processed.delete(finding.stray)
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

    # The end.

    def drain(self) -> None:
        """Work until the queue is empty and nobody works any more."""
        self._start_functions()
        self.loop.run()

    def redrive(self, weeks: float = _WEEKS) -> None:
        """Send old events and the dead letters again, weeks later, and work through them."""
        self.loop.now += weeks
        for body in self.random.sample(self._told, min(10, len(self._told))):
            self.mailbox.send(body)
        dead, self.mailbox.dead = self.mailbox.dead, []
        for letter in dead:
            self.mailbox.send(letter.body)
        self.drain()

    def differences(self) -> list[str]:
        """How the stores and the catalog differ from the dictionary."""
        entries = {entry.key: entry.version for entry in self.processed.list()}
        entries |= {f"original {entry.key}": entry.version for entry in self.uploads.list()}
        return self.oracle.compare(self.processed.bodies(), entries, list(self._quiet_catalog().scan()))

    def record(self, key: str) -> Any:
        """What the catalog says of ``key``."""
        return self._quiet_catalog().get(image_id(BUCKET, key))

    def catalog_keys(self) -> set[str]:
        return {record.key for record in self._quiet_catalog().scan()}

    def account(self) -> Counter[str]:
        """Where every upload that was ever accepted is now, by what the catalog says. One that was
        overwritten or deleted by a later act is ``gone``."""
        account: Counter[str] = Counter()
        for act in self.history.acts:
            account["uploads"] += act.body is not None
        for key in self.oracle.live:
            record = self.record(key)
            account[record.status if record else "skipped"] += 1
        account["gone"] = account["uploads"] - len(self.oracle.live)
        return account

    def findings(self) -> list[str]:
        """What a search of all would still find to do."""
        found = self._reconciler(self.uploads, self.processed, self._quiet_catalog()).findings()
        return [f"{finding.why} {finding.key!r}" for finding in found]

    def _quiet_catalog(self) -> Any:
        return QuietCatalog(self.processed) if self.records_as_objects else self.catalog

    def rest(self) -> None:
        """Let every claim of a dead worker end."""
        self.loop.now += LEASE

    def needs_no_reconcile(self) -> bool:
        """Whether events alone must have brought everything about: none was lost, nobody died, and
        what was to be made did not change."""
        weather = self.weather
        disturbed = weather.drop or weather.kill or weather.stall or self.history.recipe_change
        return not (disturbed or self.mailbox.dead or self.counts["sweeps failed"])


class QuietCatalog(ObjectCatalog):
    """ObjectCatalog read from outside the loop, where no thread can be started."""

    def scan(self) -> Iterator[Any]:
        for entry in list(self._store.list(RECORDS)):
            record = self.get(entry.key.rpartition("/")[2].removesuffix(".json"))
            if record is not None:
                yield record
