"""Ingest, last step on one machine: the search of `reconcile`, by a merge of three listings.

Originals, records and renditions are each listed once, in the order of keys, side by side. A key whose three
parts agree costs no request of its own; any other is checked as `reconcile` checks every key. Records and
renditions without an original are few: they are collected, and checked at the end, when it is known how many
originals are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import cast

from msgspec import Struct, field
from msgspec.structs import replace

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.keys import original_of, rendition_prefix
from image_processor.domain.ports import Entry, KeyOrderedCatalog, RecordState
from image_processor.domain.transformation import is_rendition_name

from .deletion_guard import DeletionGuard
from .drift import Drift, ExpectedFingerprints, is_current
from .plan import plan_kind
from .reconcile import CheckedPage, Finding, Listing, Phase, Position, Reconciler, held

_PAGE = 500
"""Originals per page."""
_LISTED = 5_000
"""Objects of a page of renditions after the last original."""
_MAX_PER_ORIGINAL = 100
"""How many objects a page reads for each of its originals. A page with more of them lists those of each."""
_MAX_CANDIDATES = 100_000
"""Candidates in memory. If there are more, records and renditions are searched once more, in pages."""
_SHORT = 175
"""A key of up to this many characters has at most 700 bytes, so it is the prefix of its renditions."""
_AFTER_SLASH = "0"
_Check = tuple[str, Callable[[], list[Finding]]]
"""A key, and what checks it."""
_Plans = dict[Hashable, ExpectedFingerprints | None]
"""What is expected of the originals of one kind; None if they are skipped."""


class _OrphanCandidates(Struct):
    """Records and renditions whose originals were not listed: they may be orphans."""

    keys: list[str] = field(default_factory=list)
    """The keys of the records."""
    prefixes: dict[str, list[Entry]] = field(default_factory=dict)
    """The prefixes of the renditions. With those that do not name an original, their objects."""
    records: int = 0
    """How many records were listed, those of existing originals too."""
    groups: int = 0
    """How many prefixes were listed, those of existing originals too."""
    are_all: bool = True
    """False once there were too many to keep."""

    def add(self, keys: Iterable[str], groups: dict[str, list[Entry]]) -> None:
        if len(self.keys) + len(self.prefixes) > _MAX_CANDIDATES:
            self.are_all = False
        if not self.are_all:
            return
        self.keys.extend(keys)
        for prefix, entries in groups.items():
            if renditions := _renditions(entries):
                kept = self.prefixes.setdefault(prefix, [])
                kept += renditions if original_of(prefix) is None else ()


class MergingReconciler(Reconciler, frozen=True, kw_only=True):
    """A Reconciler that finds everything in one pass, if the catalog lists records in the order of keys.

    With another catalog it searches as its base class does.
    """

    def findings(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Finding]:
        if not hasattr(self.catalog, "scan_states"):
            return super().findings(should_stop)
        return self._distinct(self.merged_pages(cast(KeyOrderedCatalog, self.catalog)), should_stop)

    def merged_pages(self, catalog: KeyOrderedCatalog) -> Iterator[CheckedPage]:
        """As `pages`, from the start on. A key may be found twice."""
        candidates = _OrphanCandidates()
        try:
            yield from self._merge(_States(catalog.scan_states(self.bucket)), candidates)
        except _UnreadableStates:
            # A part of the catalog is damaged: then each record is read alone.
            yield from self.pages()
            return
        if not candidates.are_all:
            yield from self.pages(Position(Phase.RECORDS))
            return
        yield from self._check_candidates(candidates)
        if self.outboxes:
            yield from self._search_outboxes()

    def _merge(self, states: _States, candidates: _OrphanCandidates) -> Iterator[CheckedPage]:
        originals, stored = self.uploads.list(), Listing(self.processed, "")
        last = ""
        while page := list(islice(originals, _PAGE)):
            before, last = last, page[-1].key
            listed = stored.take_through(last, _MAX_PER_ORIGINAL * len(page))
            records = states.take_through(last)
            candidates.records += len(records)
            if listed is None:
                candidates.are_all = False
                yield self._page(
                    [self._check(entry, None) for entry in page], Position(Phase.ORIGINALS, last)
                )
                continue
            groups = _by_prefix(listed)
            candidates.groups += len(groups)
            groups.pop(f"{before}/", None)  # follows the key that ended its page
            checks = self._checks(page, records, groups)
            candidates.add(records, groups)
            yield self._page(checks, Position(Phase.ORIGINALS, last))
        while records := states.take(_PAGE):
            candidates.records += len(records)
            candidates.add(records, {})
            yield self._page([], Position(Phase.RECORDS))
        while rest := stored.take(_LISTED):
            groups = _by_prefix(rest)
            candidates.groups += len(groups)
            groups.pop(f"{last}/", None)
            candidates.add((), groups)
            yield self._page([], Position(Phase.RENDITIONS))

    def _checks(
        self, page: Sequence[Entry], records: dict[str, RecordState], groups: dict[str, list[Entry]]
    ) -> list[_Check]:
        """The checks of the originals that may not be as wanted. Removes from ``records`` and ``groups`` what
        belongs to originals of the page."""
        plans: _Plans = {}
        checks = []
        for entry in page:
            key = entry.key
            state = records.pop(key, None)
            if len(key) > _SHORT and rendition_prefix(key) != f"{key}/":
                checks.append(self._check(entry, None))
                continue
            group = groups.pop(f"{key}/", ())
            # Nothing below it follows the page's last key.
            is_whole = key + _AFTER_SLASH <= page[-1].key
            if not (is_whole and self._is_as_wanted(plans, entry, state, group)):
                checks.append(self._check(entry, _renditions(group) if is_whole else None))
        return checks

    def _check(self, entry: Entry, stored: Sequence[Entry] | None) -> _Check:
        return entry.key, partial(self._check_original, entry, stored)

    def _is_as_wanted(
        self, plans: _Plans, original: Entry, state: RecordState | None, stored: Iterable[Entry]
    ) -> bool:
        kind = plan_kind(original.key, self.recipe)
        if kind not in plans:
            try:
                plans[kind] = ExpectedFingerprints.of(self.plan(original.key), self.limits)
            except ImageProcessorError:
                return False  # an overlay image that cannot be read: each key says so
        actual = {entry.key: entry.version for entry in stored}
        return is_current(plans[kind], original.version, state, actual)

    def _check_candidates(self, candidates: _OrphanCandidates) -> Iterator[CheckedPage]:
        """Check the candidates. Deletions are reported only once it is known how many originals are gone."""
        keys = ((key, partial(self._check_missing, key)) for key in candidates.keys)
        found, gone = yield from self._count(keys, Phase.RECORDS)
        guard = DeletionGuard(candidates.records, gone)
        yield self._guarded_page(found, guard, Phase.RECORDS)
        prefixes = (self._prefix_check(prefix, entries) for prefix, entries in candidates.prefixes.items())
        found, gone = yield from self._count(prefixes, Phase.RENDITIONS)
        # Once records have shown it, renditions would only count the same originals again.
        if not guard.holds(self.deletion_limit):
            guard = guard.after(candidates.groups, gone)
        yield self._guarded_page(found, guard, Phase.RENDITIONS)

    def _prefix_check(self, prefix: str, entries: Iterable[Entry]) -> _Check:
        key = original_of(prefix)
        if key is None:
            return prefix, partial(self._check_orphans, prefix, entries)
        return key, partial(self._check_missing, key)

    def _count(
        self, checks: Iterator[_Check], phase: Phase
    ) -> Generator[CheckedPage, None, tuple[list[Finding], int]]:
        """Run the checks. Returns what they find, and how many originals are gone."""
        found: list[Finding] = []
        gone = 0
        while chunk := list(islice(checks, _PAGE)):
            page = self._deleting_page(chunk, len(chunk), Position(phase))
            found += page.findings
            gone += page.guard.gone
            yield replace(page, findings=())
        return found, gone

    def _search_outboxes(self) -> Iterator[CheckedPage]:
        entries = self.catalog.scan_entries()
        while page := list(islice(entries, _PAGE)):
            keys = [entry.unsent[0].key for entry in page if entry.unsent]
            findings = tuple(self._finding(key, Drift.UNSENT) for key in keys)
            yield CheckedPage(findings, len(page), Position(Phase.RECORDS, page[-1].id))

    def _guarded_page(self, found: Sequence[Finding], guard: DeletionGuard, phase: Phase) -> CheckedPage:
        is_held = guard.holds(self.deletion_limit)
        findings = held(found, guard.reason()) if is_held else tuple(found)
        return CheckedPage(findings, 0, Position(phase), guard)


class _UnreadableStates(Exception):
    """The catalog cannot list its records."""


class _States:
    """Records in the order of their keys, read along with the listing of originals."""

    def __init__(self, states: Iterator[RecordState]) -> None:
        self._states = self._rest = _checked(states)

    def take_through(self, last: str) -> dict[str, RecordState]:
        """Those up to the key ``last`` that have not been taken, by key."""
        taken = {}
        for state in self._states:
            if state.key > last:
                self._states = chain([state], self._rest)  # not one more layer with each page
                break
            taken[state.key] = state
        return taken

    def take(self, count: int) -> dict[str, RecordState]:
        """The next ones, at most ``count``."""
        return {state.key: state for state in islice(self._states, count)}


def _checked(states: Iterator[RecordState]) -> Iterator[RecordState]:
    try:
        yield from states
    except ImageProcessorError as error:
        raise _UnreadableStates from error


def _by_prefix(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Objects by what comes before their last segment, which ends in `/`."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        prefix, slash, _ = entry.key.rpartition("/")
        if slash:
            groups.setdefault(prefix + slash, []).append(entry)
    return groups


def _renditions(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if is_rendition_name(entry.key.rpartition("/")[2])]
