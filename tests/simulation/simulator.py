"""The simulator: users, events in transit, a queue and Lambda functions around the simulated system.

The functions call the real process function as Lambda does.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from image_processor.aws_lambda import process_function as app_ingest
from image_processor.config.recipe import Recipe
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.ports import Attributes
from support.ingest import BUCKET

from . import messages
from .faults import FaultProfile
from .history import REQUESTED, History
from .loop import Process, Thread
from .message_queue import MessageQueue
from .oracle import on_demand
from .system import LEASE, Call, SimulatedSystem
from .troubles import MAX_CLOCK_ERROR

_WEEKS = 21 * 24 * 3600.0
_LONG_POLL = 600.0


class Simulator(SimulatedSystem):
    """Runs one history."""

    def __init__(
        self,
        seed: int,
        profile: FaultProfile,
        history: History,
        *,
        concurrency: int = 4,
        batch: int = 10,
    ) -> None:
        self.profile, self.history = profile, history
        self.concurrency, self.batch = concurrency, batch
        super().__init__(seed, profile, history.recipe)
        self.queue = MessageQueue(self.random)
        self.peak = self._working = 0
        self._idle: list[Thread] = []
        self._sequencer = 0
        self._sent_bodies: list[str] = []
        self._poller = Process("poller")
        self._warm: list[tuple[Process, Call]] = []

    # Users and events.

    def begin(self) -> None:
        """Schedule the whole history; `loop.run` then runs it."""
        recipes = [self.history.recipe]
        if self.history.recipe_change:
            at, recipe = self.history.recipe_change
            recipes.append(recipe)
            self.loop.at(at, lambda: self._deploy(recipe))
        for key in self.history.keys:
            self.oracle.register(key, recipes, REQUESTED)
        length = max(action.at for action in self.history.actions)
        self.troubles.schedule(self.history.keys, length, self.loop.at, self._deny)
        for action in self.history.actions:
            self.loop.at(action.at, partial(self.act, action.key, action.body))
        for at in self.history.noise:
            self.loop.at(at, lambda: self.send(self._noise()))
        for at in self.history.reconciles:
            self.loop.at(at, self.reconcile)
        for request in self.history.requests:
            self.loop.at(request.at, partial(self.request, request.key, request.transformation))
        self._start_functions()

    def _deny(self, denial: set[str], key: str) -> None:
        """The original ``key`` cannot be read from now on. What is stored of this version must stay."""
        self.note(f"{key!r} cannot be read")
        denial.add(key)
        self.counts["denials"] += 1
        self.troubles.deny_renditions([on_demand(key, item) for item in REQUESTED])
        record, expected = self.record(key), self.oracle.expected(key, self.oracle.live.get(key))
        if record and record.version == self.versions[key][-1][1] and not self._missing(expected):
            self.oracle.kept[key] = expected

    def lost(self) -> list[str]:
        """Renditions that were complete when their original became unreadable, and are not any more."""
        missing = [(key, self._missing(expected)) for key, expected in self.oracle.kept.items()]
        return [f"{key!r} is unreadable and lost {sorted(names)}" for key, names in missing if names]

    def _missing(self, expected: dict[str, bytes]) -> set[str]:
        stored = self.processed.bodies()
        return {name for name, body in expected.items() if stored.get(name) != body}

    def _deploy(self, recipe: Recipe) -> None:
        self.note("recipe changes")
        self._warm.clear()  # a new version of the function has new containers
        self.oracle.recipe_changed(recipe)

    def act(self, key: str, body: bytes | None) -> None:
        """A user uploads or deletes, and the event is sent, delayed, repeated or lost."""
        self.note(f"user {key!r} {body!r}")
        self._sequencer += 1
        self.oracle.user_acted(key, body)
        version = None
        if body is None:
            self.uploads.delete(key)
        else:
            version = self.uploads.put(key, body, Attributes()).version
        self.versions[key].append((self.loop.now, version))
        self.bodies[key].append((self.loop.now, body))
        if self.random.random() < self.profile.drop:
            self.counts["dropped"] += 1
            return
        for _ in range(self.random.randint(1, self.profile.copies)):
            text = messages.notification(self.random, key, deleted=body is None, sequencer=self._sequencer)
            self._sent_bodies.append(text)
            delay = self.profile.late * self.random.random() ** 3
            self.loop.at(self.loop.now + delay, partial(self.send, text))

    def _noise(self) -> str:
        """A message that must change nothing."""
        if self.random.random() < 0.5:
            return self.random.choice(messages.NOISE)
        key = self.random.choice(self.history.keys)
        names = [rendition_prefix(key) + item.name for item in self.oracle.transformations(key)] or ["a"]
        own_output = messages.notification(self.random, names[0][:1000], deleted=False, bucket="processed")
        return messages.mutated(self.random, own_output) if self.random.random() < 0.3 else own_output

    # The Lambda functions.

    def _start_functions(self) -> None:
        for _ in range(self.concurrency):
            self.loop.start(self._poller, self._poll)

    def _poll(self) -> None:
        """One slot of concurrency: receives a batch, waits for its end, receives the next."""
        while True:
            received = self.queue.receive(self.loop.now, self.random.randint(1, self.batch))
            if received:
                receives = {message.id: message.receives for message in received}
                self._invoke([(message.id, message.body) for message in received], receives)
                continue
            upcoming = self.queue.next_visible(self.loop.now)
            if upcoming is None and not self.loop.scheduled:
                return
            self._idle.append(self.loop.thread())
            self.loop.sleep(_LONG_POLL if upcoming is None else max(0.0, upcoming - self.loop.now))

    def send(self, body: str) -> None:
        """Put a message into the queue, and wake the idle pollers."""
        self.queue.send(body)
        for thread in self._idle:
            self.loop.wake(thread)
        self._idle.clear()

    def _invoke(self, batch: list[tuple[str, str]], receives: dict[str, int]) -> None:
        process, processor = self._container()
        recipe = self.oracle.recipe
        self._working += 1
        self.peak = max(self.peak, self._working)
        work = self.loop.start(process, lambda: self._work(processor, batch, receives))
        self.loop.wait(work.ended)
        self._working -= 1
        if process.alive and self.profile.full and recipe is self.oracle.recipe:
            self._warm.append((process, processor))

    def _container(self) -> tuple[Process, Call]:
        """A new container of the function. With a full disk an idle one is used again: it may remember leases
        that it could not release."""
        if self._warm:
            return self._warm.pop()
        process = self.process("fn")
        return process, self.processor(process)

    def _work(self, processor: Call, batch: list[tuple[str, str]], receives: dict[str, int]) -> None:
        event = messages.batch(batch, receives)
        answer = app_ingest.handle(event, processor, BUCKET, lambda: 60_000)
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for id_, _ in batch:
            if id_ in failed:
                self.counts["retried"] += 1
            else:
                self.queue.delete(id_)

    # The end of a history.

    def drain(self) -> None:
        """Process until the queue is empty."""
        self._start_functions()
        self.loop.run()

    def redrive(self, weeks: float = _WEEKS) -> None:
        """Send old events and the dead letters again, weeks later, and process them."""
        self.loop.now += weeks
        for body in self.random.sample(self._sent_bodies, min(10, len(self._sent_bodies))):
            self.queue.send(body)
        dead, self.queue.dead = self.queue.dead, []
        for message in dead:
            self.queue.send(message.body)
        self.drain()

    def differences(self) -> list[str]:
        """How stores and catalog differ from what the oracle expects."""
        entries = {entry.key: entry.version for entry in self.processed.list()}
        entries |= {f"original {entry.key}": entry.version for entry in self.uploads.list()}
        return self.oracle.compare(self.processed.bodies(), entries, list(self._faultless_catalog().scan()))

    def account(self) -> Counter[str]:
        """The number of accepted uploads by the status of their record. An upload that a later action
        overwrote or deleted counts as ``gone``."""
        account: Counter[str] = Counter()
        for action in self.history.actions:
            account["uploads"] += action.body is not None
        for key in self.oracle.live:
            record = self.record(key)
            account[record.status if record else "skipped"] += 1
        account["gone"] = account["uploads"] - len(self.oracle.live)
        return account

    def expire_leases(self) -> None:
        """Advance the clock past the end of every lease, as every clock shows it."""
        self.loop.now += LEASE + 2 * MAX_CLOCK_ERROR * self.profile.skew

    def needs_no_reconcile(self) -> bool:
        """Whether events alone must have done all work: none was lost, no process died, and the recipe
        did not change. A request that fails is not repeated by a queue."""
        profile = self.profile
        disturbed = (
            ((profile.fail or profile.full or profile.stop) and self.history.requests)
            or profile.refuse
            or profile.skew
            or profile.drop
            or profile.kill
            or profile.stall
            or self.history.recipe_change
        )
        return not (disturbed or self.queue.dead or self.counts["findings failed"])
