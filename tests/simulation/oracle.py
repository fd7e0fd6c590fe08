"""What must be true: the plain dictionary that the stores must equal, and what may never happen.

The oracle knows what users did and the recipe, nothing of events, claims or workers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import Reason
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import IccPolicy, Record, Status
from image_processor.domain.ports import Attributes, Entry
from image_processor.domain.transformation import ON_DEMAND, Transformation
from image_processor.ingest.plan import plan_upload
from image_processor.renditions.freshness import is_on_demand
from support.ingest import BUCKET, rendition_bytes
from support.memory_store import MemoryStore

RECORDS = ".image-processor/"


def on_demand(key: str, transformation: Transformation) -> str:
    """Where a rendition of ``key`` lies that no recipe declares."""
    return rendition_prefix(key) + ON_DEMAND + transformation.name


class ObservedStore(MemoryStore):
    """A store that tells the oracle of every change, at the instant of the change."""

    def __init__(self, oracle: Oracle, *, tags: bool) -> None:
        super().__init__(tags=tags)
        self._oracle = oracle

    def put(self, key: str, body: bytes, attributes: Attributes, *, condition: Any = None) -> Entry:
        before = self._objects.get(key)
        entry = super().put(key, body, attributes, condition=condition)
        self._oracle.changed(key, before.body if before else None, body)
        return entry

    def delete(self, key: str) -> None:
        before = self._objects.get(key)
        super().delete(key)
        self._oracle.changed(key, before.body if before else None, None)


class Oracle:
    """``live`` is the dictionary: every original by its key. ``broken`` are the promises broken so
    far; ``strays`` counts writes and deletions by a worker that had lost its claim, which must be
    mended and are no breach."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.live: dict[str, bytes] = {}
        self.ever: dict[str, set[bytes]] = defaultdict(set)
        self.broken: list[str] = []
        self.at_breach: Callable[[str], None] = lambda _: None
        self.strays: Counter[str] = Counter()
        self.reconciled = False
        self.tags = False
        self._returned: set[str] = set()
        self._settled: dict[str, bytes | None] = {}
        self._names: dict[str, tuple[str, Transformation]] = {}
        self._wanted: dict[tuple[int, str], tuple[Transformation, ...]] = {}

    def breach(self, text: str) -> None:
        self.broken.append(text)
        self.at_breach(text)

    def learn(self, key: str, recipes: Sequence[Recipe], asked: Sequence[Transformation] = ()) -> None:
        """Note which renditions ``key`` may ever have, by a recipe or because they are ``asked`` for."""
        self._names |= {on_demand(key, each): (key, each) for each in asked}
        for recipe in recipes:
            for each in recipe.transformations_for(key):
                self._names[rendition_prefix(key) + recipe.stored_name(key, each)] = (key, each)

    def acted(self, key: str, body: bytes | None) -> None:
        """A user put ``body`` under ``key``, or deleted it."""
        self._settled.pop(key, None)
        self._returned.discard(key)
        if body is None:
            self.live.pop(key, None)
        else:
            if body in self.ever[key]:
                self._returned.add(key)
            self.live[key] = body
            self.ever[key].add(body)

    def changed_recipe(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._settled.clear()

    def resolve(self, key: str) -> None:
        """The key is done: nothing may change it any more until a user does."""
        self._settled[key] = self.live.get(key)

    def wants(self, key: str, body: bytes | None) -> dict[str, bytes]:
        """The renditions, by key, that ``key`` has if its original is ``body``."""
        if body is None or body.startswith(b"bad") or plan_upload(key, self.recipe, IccPolicy.STRIP).skip:
            return {}
        prefix = rendition_prefix(key)
        names = {each: self.recipe.stored_name(key, each) for each in self.transformations(key)}
        return {prefix + name: rendition_bytes(body, each) for each, name in names.items()}

    def transformations(self, key: str) -> tuple[Transformation, ...]:
        place = (id(self.recipe), key)
        if place not in self._wanted:
            self._wanted[place] = self.recipe.transformations_for(key)
        return self._wanted[place]

    def changed(self, key: str, before: bytes | None, after: bytes | None) -> None:
        """An object of the processed store changed. Judges it at once."""
        if before == after or key.startswith(RECORDS):
            return
        if key not in self._names:
            self.breach(f"{key!r} is no rendition that was ever wanted")
            return
        original, transformation = self._names[key]
        if after is not None and after not in {
            rendition_bytes(b, transformation) for b in self.ever[original]
        }:
            self.breach(f"{key!r} holds no whole rendition of its original: {after[:80]!r}")
        if original in self._settled and (
            key in self.wants(original, self._settled[original]) or not is_on_demand(key)
        ):
            self._judge_settled(
                key, original, self.wants(original, self._settled[original]).get(key), before, after
            )

    def _judge_settled(
        self, key: str, original: str, right: bytes | None, before: bytes | None, after: bytes | None
    ) -> None:
        if after == right or before != right:
            return
        if after is None:
            self.strays["deleted"] += 1
        elif before is None:
            self.strays["put"] += 1
        elif self.tags and original in self._returned:
            # S3 compares tags, and the same bytes have the same: a write that is on its way for longer
            # than a claim lasts cannot tell that all was different in between. Its worker mends it.
            self.strays["overwritten"] += 1
        else:
            self.breach(f"{key!r} went back: an old event overwrote newer output")

    def compare(self, stored: dict[str, bytes], entries: dict[str, str], records: list[Record]) -> list[str]:
        """How stores and records differ from the dictionary; nothing once all has come to rest.

        ``entries`` are versions by key of the processed store and of the originals.
        """
        found = {key: body for key, body in stored.items() if not key.startswith(RECORDS)}
        wanted: dict[str, bytes] = {}
        for key, body in self.live.items():
            wanted |= self.wants(key, body)
        found = {
            key: body for key, body in found.items() if key in wanted or not self._is_asked_for(key, body)
        }
        wrong = [f"missing {key!r}" for key in wanted.keys() - found.keys()]
        wrong += [f"orphan {key!r}" for key in found.keys() - wanted.keys()]
        wrong += [
            f"other bytes in {key!r}" for key in wanted.keys() & found.keys() if wanted[key] != found[key]
        ]
        known = {record.key: record for record in records}
        due = {key for key in self.live if not plan_upload(key, self.recipe, IccPolicy.STRIP).skip}
        wrong += [f"no record of {key!r}" for key in due - known.keys()]
        wrong += [f"a record of {key!r}" for key in known.keys() - due]
        return sorted(wrong) + [
            f"{key!r}: {problem}"
            for key in sorted(due & known.keys())
            for problem in self._record(known[key], entries)
        ]

    def _is_asked_for(self, key: str, found: bytes) -> bool:
        """Whether ``found`` was made on demand and may lie under ``key``: its original lives and is not
        refused. It may be of the past, and is then not shown, until a reconcile has run."""
        if key not in self._names or not is_on_demand(key):
            return False
        original, transformation = self._names[key]
        body = self.live.get(original)
        if body is None or not self._is_picture(original, body):
            return False
        return not self.reconciled or found == rendition_bytes(body, transformation)

    def _is_picture(self, key: str, body: bytes) -> bool:
        return not body.startswith(b"bad") or plan_upload(key, self.recipe, IccPolicy.STRIP).skip is not None

    def _record(self, record: Record, entries: dict[str, str]) -> list[str]:
        body = self.live[record.key]
        wrong = []
        if record.id != image_id(BUCKET, record.key):
            wrong.append("another id")
        if record.version != entries[f"original {record.key}"]:
            wrong.append("a record of another version")
        if body.startswith(b"bad"):
            if (record.status, record.reason) != (Status.REFUSED, Reason.NOT_AN_IMAGE):
                wrong.append(f"{record.status} {record.reason}, expected a refusal with its reason")
        elif record.status is not Status.PROCESSED:
            wrong.append(f"{record.status}, expected processed")
        recorded = {rendition.key: rendition.version for rendition in record.renditions}
        stored = {key: entries.get(key) for key in self.wants(record.key, body)}
        if recorded != stored:
            wrong.append("record and objects do not agree")
        return wrong
