"""The simulated world: users, events on their way, a queue, functions that come and go, two stores
and a catalog; and in the middle the real code, called as Lambda calls it.
"""

from __future__ import annotations

from collections import Counter

from image_processor.aws_lambda import process_function as app_ingest
from image_processor.config.recipe import Recipe
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.ports import Attributes
from support.ingest import BUCKET

from . import letters
from .history import ASKED, History
from .loop import Process, Thread
from .mailbox import Mailbox
from .weather import Weather
from .works import LEASE, Works

_WEEKS = 21 * 24 * 3600.0
_LONG_POLL = 600.0


class World(Works):
    """Everything of one history."""

    def __init__(
        self, seed: int, weather: Weather, history: History, *, concurrency: int = 4, batch: int = 10
    ) -> None:
        self.weather, self.history, self.concurrency, self.batch = weather, history, concurrency, batch
        super().__init__(seed, weather, history.recipe)
        self.mailbox = Mailbox(self.random)
        self.peak = self._working = 0
        self._idle: list[Thread] = []
        self._sequencer = 0
        self._told: list[str] = []
        self._world = Process("world")

    # What happens of itself.

    def begin(self) -> None:
        """Set the history going; `loop.run` then goes through it."""
        recipes = [self.history.recipe]
        if self.history.recipe_change:
            at, recipe = self.history.recipe_change
            recipes.append(recipe)
            self.loop.at(at, lambda: self._deploy(recipe))
        for key in self.history.keys:
            self.oracle.learn(key, recipes, ASKED)
        for act in self.history.acts:
            self.loop.at(act.at, lambda act=act: self.act(act.key, act.body))
        for at in self.history.noise:
            self.loop.at(at, lambda: self.mail(self._noise()))
        for at in self.history.sweeps:
            self.loop.at(at, self.sweep)
        for visit in self.history.visits:
            self.loop.at(visit.at, lambda visit=visit: self.visit(visit.key, visit.transformation))
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
        self.versions[key].append((self.loop.now, version))
        self.bodies[key].append((self.loop.now, body))
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

    def _work(self, process: Process, batch: list[tuple[str, str]]) -> None:
        event = letters.batch(batch)
        answer = app_ingest.handle(event, self.processor(process), BUCKET, lambda: 60_000)
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for id_, _ in batch:
            if id_ in failed:
                self.counts["retried"] += 1
            else:
                self.mailbox.resolve(id_)

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

    def rest(self) -> None:
        """Let every claim of a dead worker end."""
        self.loop.now += LEASE

    def needs_no_reconcile(self) -> bool:
        """Whether events alone must have brought everything about: none was lost, nobody died, and
        what was to be made did not change. A visit that fails has no queue that would bring it again."""
        weather = self.weather
        disturbed = (
            (weather.fail and self.history.visits)
            or weather.drop
            or weather.kill
            or weather.stall
            or self.history.recipe_change
        )
        return not (disturbed or self.mailbox.dead or self.counts["sweeps failed"])
