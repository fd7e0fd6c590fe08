"""Ingest: finds what another recipe would change, and changes nothing.

Originals and records are listed side by side. What a recipe wants of an original follows from its rule, so
the plans of two recipes are compared once for each pair of rules, and no original costs a request of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice
from typing import cast

from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Status
from image_processor.domain.ports import Entry, KeyOrderedCatalog, RecordState

from .drift import ExpectedFingerprints, Inspector
from .plan import plan_kind

_PAGE = 500
_MAX_EXAMPLES = 5


class DryRun(Struct, frozen=True):
    """What a recipe would change. ``made_anew`` images would get ``renditions`` renditions; ``removed`` ones
    would lose all of theirs. Unless ``complete``, there may be more. ``examples`` are some of their
    keys."""

    made_anew: int = 0
    renditions: int = 0
    removed: int = 0
    complete: bool = True
    examples: tuple[str, ...] = ()


class _Change(Struct, frozen=True):
    """What becomes of the originals of one kind."""

    made_anew: bool = False
    removed: bool = False
    renditions: int = 0


def dry_run(current: Inspector, wanted: Inspector, should_stop: Callable[[], bool]) -> DryRun:
    """What changes from the recipe of ``current`` to that of ``wanted``. Refused originals are not counted:
    they are refused again. ``should_stop`` is asked after each page of 500 originals. Raises Unavailable."""
    made_anew = renditions = removed = 0
    examples: list[str] = []
    changes: dict[Hashable, _Change] = {}
    records = _Records(cast(KeyOrderedCatalog, current.catalog), current.bucket)
    originals = current.uploads.list()
    complete = True
    while page := list(islice(originals, _PAGE)):
        for original in page:
            change = _change(original, current, wanted, changes)
            if not (change.made_anew or change.removed) or records.is_refused(original.key):
                continue
            made_anew += change.made_anew
            removed += change.removed
            renditions += change.renditions
            if len(examples) < _MAX_EXAMPLES:
                examples.append(original.key)
        if should_stop():
            complete = False
            break
    return DryRun(made_anew, renditions, removed, complete, tuple(examples))


def _change(
    original: Entry, current: Inspector, wanted: Inspector, known: dict[Hashable, _Change]
) -> _Change:
    key = original.key
    kind = plan_kind(key, current.recipe), plan_kind(key, wanted.recipe)
    if kind not in known:
        before, after = _expected(key, current), _expected(key, wanted)
        known[kind] = _Change(
            made_anew=after is not None and after != before,
            removed=after is None and before is not None,
            renditions=len(wanted.recipe.eager_for(key)) if after != before else 0,
        )
    return known[kind]


def _expected(key: str, inspector: Inspector) -> ExpectedFingerprints | str | None:
    """What is expected of ``key``; None if nothing is, a text if an overlay image cannot be read."""
    try:
        return ExpectedFingerprints.of(inspector.plan(key), inspector.limits)
    except ImageProcessorError as error:
        return str(error)


class _Records:
    """The states of records, read along with the listing of originals, both in the order of keys."""

    def __init__(self, catalog: KeyOrderedCatalog, bucket: str) -> None:
        self._states = catalog.scan_states(bucket)
        self._next: RecordState | None = None

    def is_refused(self, key: str) -> bool:
        """Whether ``key``, which follows those of earlier calls, is refused."""
        while self._next is None or self._next.key < key:
            self._next = next(self._states, None)
            if self._next is None:
                return False
        return self._next.key == key and self._next.status is Status.REFUSED
