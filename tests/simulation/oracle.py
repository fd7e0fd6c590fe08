"""The oracle: the contents that the stores must end with, and changes that must never happen.

It knows the actions of the users and the recipe, and nothing about events, leases or workers.
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


def record_key(record: Record) -> str:
    """Where the object catalog stores a record."""
    return f"{RECORDS}records/{record.id}.json"


def on_demand(key: str, transformation: Transformation) -> str:
    """The stored key of an on-demand rendition of ``key``."""
    return rendition_prefix(key) + ON_DEMAND + transformation.name


class ObservedStore(MemoryStore):
    """A store that reports every change to the oracle at once."""

    def __init__(self, oracle: Oracle, *, etags: bool, on_put: Callable[[str, bytes], None]) -> None:
        super().__init__(etags=etags)
        self._oracle = oracle
        self._on_put = on_put

    def put(self, key: str, body: bytes, attributes: Attributes, *, condition: Any = None) -> Entry:
        before = self._objects.get(key)
        entry = super().put(key, body, attributes, condition=condition)
        self._oracle.changed(key, before.body if before else None, body)
        if not key.startswith(RECORDS):
            self._on_put(key, body)
        return entry

    def delete(self, key: str, *, condition: str | None = None) -> None:
        before = self._objects.get(key)
        super().delete(key, condition=condition)
        self._oracle.changed(key, before.body if before else None, None)


class Oracle:
    """Checks every change of the processed store, and its contents at the end.

    ``live`` holds the current originals by key, ``violations`` the broken promises. ``late_writes``
    counts writes and deletions by workers that had lost their lease; they are no violations, but
    must be repaired. ``unreadable`` are originals that cannot be read, whose state is not judged;
    ``kept`` what was stored of some when they became unreadable. ``had_conflict`` says of the current change
    whether its worker has met another version of the object before.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.live: dict[str, bytes] = {}
        self.ever: dict[str, set[bytes]] = defaultdict(set)
        self.violations: list[str] = []
        self.on_violation: Callable[[str], None] = lambda _: None
        self.late_writes: Counter[str] = Counter()
        self.reconciled = False
        self.unreadable: set[str] = set()
        self.kept: dict[str, dict[str, bytes]] = {}
        self.etags = False
        self.clocks_agree = True
        self.had_conflict = False
        self._returned: set[str] = set()
        self._finished: dict[str, bytes | None] = {}
        self.ever_lazy: set[str] = set()
        self._names: dict[str, tuple[str, Transformation]] = {}
        self._transformations: dict[tuple[int, str], tuple[Transformation, ...]] = {}

    def violate(self, text: str) -> None:
        self.violations.append(text)
        self.on_violation(text)

    def register(self, key: str, recipes: Sequence[Recipe], requested: Sequence[Transformation] = ()) -> None:
        """Register all renditions that ``key`` may ever have: by a recipe, or because they are requested."""
        self._names |= {on_demand(key, item): (key, item) for item in requested}
        for recipe in recipes:
            for item in recipe.transformations_for(key):
                self._names[rendition_prefix(key) + recipe.stored_name(key, item)] = (key, item)
            self.ever_lazy |= recipe.lazy_for(key).keys()

    def user_acted(self, key: str, body: bytes | None) -> None:
        """A user put ``body`` under ``key``, or deleted it."""
        self._finished.pop(key, None)
        self.kept.pop(key, None)
        self._returned.discard(key)
        if body is None:
            self.live.pop(key, None)
        else:
            if body in self.ever[key]:
                self._returned.add(key)
            self.live[key] = body
            self.ever[key].add(body)

    def recipe_changed(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._finished.clear()
        self.kept.clear()

    def original_of(self, key: str) -> tuple[str | None, Transformation | None]:
        """The original and the transformation of the rendition ``key``."""
        return self._names.get(key, (None, None))

    def mark_finished(self, key: str) -> None:
        """No worker may change renditions of ``key`` until the next action of a user."""
        self._finished[key] = self.live.get(key)

    def expected(self, key: str, body: bytes | None) -> dict[str, bytes]:
        """All renditions, by stored key, of an original ``body`` under ``key``."""
        if body is None or body.startswith(b"bad") or plan_upload(key, self.recipe, IccPolicy.STRIP).skip:
            return {}
        prefix = rendition_prefix(key)
        names = {item: self.recipe.stored_name(key, item) for item in self.transformations(key)}
        return {prefix + name: rendition_bytes(body, item) for item, name in names.items()}

    def transformations(self, key: str) -> tuple[Transformation, ...]:
        """Those that ingest must make for ``key``."""
        cache_key = (id(self.recipe), key)
        if cache_key not in self._transformations:
            self._transformations[cache_key] = self.recipe.eager_for(key)
        return self._transformations[cache_key]

    def changed(self, key: str, before: bytes | None, after: bytes | None) -> None:
        """Check a change of an object in the processed store."""
        if before == after or key.startswith(RECORDS):
            return
        if key not in self._names:
            self.violate(f"{key!r} is no rendition of any recipe or request")
            return
        original, transformation = self._names[key]
        if after is not None and after not in {
            rendition_bytes(b, transformation) for b in self.ever[original]
        }:
            self.violate(f"{key!r} is no complete rendition of any version of its original: {after[:80]!r}")
        if original in self._finished and (
            key in self.expected(original, self._finished[original]) or not self._is_made_at_request(key)
        ):
            self._check_finished(
                key, original, self.expected(original, self._finished[original]).get(key), before, after
            )

    def _check_finished(
        self, key: str, original: str, right: bytes | None, before: bytes | None, after: bytes | None
    ) -> None:
        if after == right or before != right:
            return
        if after is None:
            self.late_writes["deleted"] += 1
        elif before is None:
            self.late_writes["put"] += 1
        elif self.etags and original in self._returned:
            # S3 compares ETags, and equal bytes have equal ETags: a put that takes longer than a lease
            # cannot notice that the object was another one in between. Its worker repairs it.
            self.late_writes["overwritten"] += 1
        elif not self.clocks_agree and not self.had_conflict:
            # For another worker the lease expired at once. If this one lists the renditions only after that,
            # its puts meet no other version. Reconcile repairs it.
            self.late_writes["overwritten"] += 1
        elif key in self.ever_lazy:
            # A view that began under a recipe in which it was lazy. Delivery deletes it, reconcile repairs.
            self.late_writes["overwritten"] += 1
        else:
            self.violate(f"{key!r} is older again: an old event overwrote newer output")

    def compare(self, stored: dict[str, bytes], entries: dict[str, str], records: list[Record]) -> list[str]:
        """How stores and records differ from the expected ones; empty once all work is done.

        ``entries`` are versions by key of the processed store and of the originals.
        """
        found = {key: body for key, body in stored.items() if not key.startswith(RECORDS)}
        left = sorted(stored.keys() - found.keys() - {record_key(record) for record in records})
        expected: dict[str, bytes] = {}
        for key, body in self.live.items():
            if key not in self.unreadable:
                expected |= self.expected(key, body)
        found = {key: body for key, body in found.items() if self.original_of(key)[0] not in self.unreadable}
        found = {
            key: body
            for key, body in found.items()
            if key in expected or not self._may_be_on_demand(key, body)
        }
        wrong = [f"missing {key!r}" for key in expected.keys() - found.keys()]
        wrong += [f"orphan {key!r}" for key in found.keys() - expected.keys()]
        wrong += [
            f"other bytes in {key!r}" for key in expected.keys() & found.keys() if expected[key] != found[key]
        ]
        known = {record.key: record for record in records if record.key not in self.unreadable}
        due = {
            key
            for key in self.live.keys() - self.unreadable
            if not plan_upload(key, self.recipe, IccPolicy.STRIP).skip
        }
        wrong += [f"no record of {key!r}" for key in due - known.keys()]
        wrong += [f"a record of {key!r}" for key in known.keys() - due]
        wrong += [f"{key!r} without a record" for key in left]
        return sorted(wrong) + [
            f"{key!r}: {problem}"
            for key in sorted(due & known.keys())
            for problem in self._record(known[key], entries)
        ]

    def _may_be_on_demand(self, key: str, found: bytes) -> bool:
        """Whether ``found`` may be stored under ``key`` as a rendition that a request made: its original
        exists and is not refused. Until a reconcile has run an on-demand one may be stale; delivery does not
        serve it then. A lazy one may not: a CDN serves what is stored under its public name."""
        if key not in self._names or not self._is_made_at_request(key):
            return False
        original, transformation = self._names[key]
        body = self.live.get(original)
        if body is None or not self._is_accepted(original, body):
            return False
        may_be_stale = not self.reconciled and is_on_demand(key)
        return may_be_stale or found == rendition_bytes(body, transformation)

    def _is_made_at_request(self, key: str) -> bool:
        return is_on_demand(key) or key in self.recipe.lazy_for(self._names[key][0])

    def _is_accepted(self, key: str, body: bytes) -> bool:
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
        stored = {key: entries.get(key) for key in self.expected(record.key, body)}
        if recorded != stored:
            wrong.append("record and objects differ")
        return wrong
