"""Ingest, last step: finds every key whose actual state differs from the wanted one.

Differences come from lost events, crashes, and changes of the recipe or the limits. The search only
finds; each finding is an upload like any other, and `process` does the work. It goes through
originals, records and renditions in pages, and can continue from any page. A key that cannot be read
is a finding, too, and stops nothing; a store that is down stops the search. If too many originals are gone at
once, nothing is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from itertools import chain, islice, pairwise

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import NotFound
from image_processor.domain.keys import original_of, rendition_prefix
from image_processor.domain.models import MessageKind, OutboxMessage, Plan, Record, Upload, UploadKind
from image_processor.domain.ports import CatalogEntry, Entry, ObjectStore
from image_processor.domain.transformation import is_rendition_name
from image_processor.renditions.freshness import is_on_demand, is_stale, list_renditions
from image_processor.renditions.originals import OriginalState, head_original

from .deletion_guard import NO_LIMIT, DeletionGuard
from .drift import Drift, Inspector
from .key_errors import try_key
from .outbox import Send

_PAGE = 500
"""Originals or records per page; of renditions, which take no request each, a page has `_LISTED`."""
_LISTED = 5_000
_MAX_PER_ORIGINAL = 100
"""How many objects a page reads from the other bucket for each of its keys, before it asks for each
key alone: the listings of the two buckets have little in common."""


class Finding(Struct, frozen=True):
    """One key that needs work, and why.

    ``upload`` is to be processed; ``orphan`` is the key of an object in the processed store to be
    deleted. At most one of them is set; if neither is, only a person can help, and ``detail`` says how.
    """

    key: str
    drift: Drift
    upload: Upload | None
    orphan: str | None = None
    detail: str | None = None


class Phase(StrEnum):
    """What is searched, in this order."""

    ORIGINALS = "originals"
    """Finds what an original lacks, and renditions that it should not have."""
    RECORDS = "records"
    """Finds records whose original is gone, and messages that the workers should have sent."""
    RENDITIONS = "renditions"
    """Finds renditions whose original is gone, and its record too."""


class Position(Struct, frozen=True):
    """Where a search stands: everything of ``phase`` up to ``after`` has been checked.

    ``after`` is a key of the upload or processed store, or an id of the catalog.
    """

    phase: Phase = Phase.ORIGINALS
    after: str = ""


class CheckedPage(Struct, frozen=True):
    """The findings among ``checked`` originals, records or objects, and the position after them. ``guard``
    counts the originals that are gone, from the start of the run to this page."""

    findings: tuple[Finding, ...]
    checked: int
    position: Position
    guard: DeletionGuard = DeletionGuard()


_START = Position()
_NOTHING_GONE = DeletionGuard()
_DELETING = frozenset({Phase.RECORDS, Phase.RENDITIONS})
"""Where findings are deletions because the original is gone."""
_Check = Callable[[], list[Finding]]
"""Checks one key. Raises what the stores raise."""


class Reconciler(Inspector, frozen=True, kw_only=True):
    """An Inspector of all keys."""

    threads: int = 1
    """How many requests wait for the stores at a time."""
    outboxes: bool = False
    """Whether outboxes are searched, where the workers themselves send what is in them."""
    invalidate: Send | None = None
    """Invalidates in a CDN what is deleted."""
    deletion_limit: int = NO_LIMIT
    """If more than this percentage of the originals is gone, no deletion is found but HELD."""

    def findings(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[Finding]:
        """Every key that needs work, once. Memory grows by one key per finding. ``should_stop`` is asked
        after each page and ends the search."""
        return self._distinct(self.pages(), should_stop)

    @staticmethod
    def _distinct(pages: Iterable[CheckedPage], should_stop: Callable[[], bool]) -> Iterator[Finding]:
        seen: set[tuple[str, str | None]] = set()
        for page in pages:
            for finding in page.findings:
                if (finding.key, finding.orphan) not in seen:
                    seen.add((finding.key, finding.orphan))
                    yield finding
            if should_stop():
                return

    def pages(self, start: Position = _START, guard: DeletionGuard = _NOTHING_GONE) -> Iterator[CheckedPage]:
        """The search from ``start`` on, where an earlier part of it ended with ``guard``. A key may be found
        twice, and memory does not grow.

        A page takes about two requests for each original and one for each record; of renditions, one for
        each whose original is missing.
        """
        searches = {
            Phase.ORIGINALS: self._from_originals,
            Phase.RECORDS: self._from_records,
            Phase.RENDITIONS: self._from_renditions,
        }
        for phase in tuple(Phase)[tuple(Phase).index(start.phase) :]:
            for page in searches[phase](start.after if phase is start.phase else ""):
                # Once records have shown it, renditions would only count the same originals again.
                if phase is Phase.RECORDS or not guard.holds(self.deletion_limit):
                    guard = guard.after(page.guard.checked, page.guard.gone)
                is_held = phase in _DELETING and guard.holds(self.deletion_limit)
                findings = held(page.findings, guard.reason()) if is_held else page.findings
                yield replace(page, findings=findings, guard=guard)

    def _from_originals(self, after: str) -> Iterator[CheckedPage]:
        listed = self.uploads.list(start_after=after)
        stored = Listing(self.processed, after)
        while page := list(islice(listed, _PAGE)):
            renditions = _renditions_of(page, stored)
            checks = [
                (entry.key, partial(self._check_original, entry, renditions.get(entry.key))) for entry in page
            ]
            yield self._page(checks, Position(Phase.ORIGINALS, page[-1].key))

    def _check_original(self, entry: Entry, stored: Sequence[Entry] | None) -> list[Finding]:
        """``stored`` are the renditions that have been listed; None: list them."""
        if stored is None:
            stored = list_renditions(self.processed, entry.key)
        record = self.record(entry.key)
        plan = self.plan(entry.key, record)
        drift = self.find_drift_among(plan, OriginalState(entry.version), record, stored)
        # Listed versions save a request per original; a second look confirms a finding.
        found = [] if drift is None else self._inspected(entry.key)
        if drift in {None, Drift.ORPHANED}:  # of a skipped original, process keeps on-demand renditions
            found += self._try(entry.key, partial(self._stale_on_demand, entry, plan, record, stored))
        return found

    def _stale_on_demand(
        self, original: Entry, plan: Plan, record: Record | None, stored: Iterable[Entry]
    ) -> list[Finding]:
        """Renditions made on demand or at their first view, of other sources or with another Cache-Control
        than the current ones."""
        found: list[Finding] = []
        recorded = {rendition.key for rendition in record.renditions} if record else set()
        header = self.recipe.cache_control_for(original.key) or self.cache_control
        focus = record.focus_of(original.version) if record else None
        for entry in stored:
            if (entry.key in plan.lazy or is_on_demand(entry.key)) and entry.key not in recorded:
                sources = (original.version, self.uploads, self.processed, self.icc)
                if is_stale(entry.key, *sources, header, plan.lazy.get(entry.key), focus=focus):
                    found.append(Finding(original.key, Drift.STALE, None, orphan=entry.key))
        return found

    def _from_records(self, after: str) -> Iterator[CheckedPage]:
        entries = self.catalog.scan_entries(after=after) if self.outboxes else self._records(after)
        while page := list(islice(entries, _PAGE)):
            checks = [(key, partial(self._check_entry, key, entry)) for entry in page if (key := _key(entry))]
            records = sum(entry.record is not None for entry in page)
            yield self._deleting_page(checks, records, Position(Phase.RECORDS, page[-1].id))

    def _records(self, after: str) -> Iterator[CatalogEntry]:
        return (CatalogEntry(record.id, record) for record in self.catalog.scan(after=after))

    def _check_entry(self, key: str, entry: CatalogEntry) -> list[Finding]:
        found = [] if entry.record is None else self._check_missing(key)
        # A worker may be about to send them. Then processing the key finds nothing to do.
        return found or ([self._finding(key, Drift.UNSENT)] if entry.unsent else [])

    def _check_missing(self, key: str) -> list[Finding]:
        """The finding of ``key`` if it has no original, or if that is not known, as in a folder that is not
        listed; all others have been checked."""
        original = head_original(self.uploads, key)
        if original is not None and original.is_unreadable and original.version is None:
            return self._inspected(key)
        return self._inspected(key) if original is None else []

    def _from_renditions(self, after: str) -> Iterator[CheckedPage]:
        """Renditions of originals that have neither an object nor a record."""
        listed = self.processed.list(start_after=after)
        uploads = Listing(self.uploads, after)
        while page := list(islice(listed, _LISTED)):
            groups = _by_prefix(page)
            keys = {prefix: original_of(prefix) for prefix in groups}
            existing = _existing([key for key in keys.values() if key], uploads)
            checks = [
                (prefix, partial(self._check_orphans, prefix, groups[prefix]))
                if key is None
                else (key, partial(self._check_missing, key))
                for prefix, key in keys.items()
                if key not in existing
            ]
            position = Position(Phase.RENDITIONS, page[-1].key)
            yield replace(self._deleting_page(checks, len(keys), position), checked=len(page))

    def _check_orphans(self, prefix: str, entries: Iterable[Entry]) -> list[Finding]:
        """Orphans under a hashed prefix, where only the object's metadata names the image."""
        beginning = prefix.rpartition("~")[0]
        if any(rendition_prefix(entry.key) == prefix for entry in self.uploads.list(beginning)):
            return []
        found = []
        for entry in entries:
            try:
                id_ = self.processed.head(entry.key).attributes.metadata.get("image", "")
            except NotFound:
                continue
            if not id_ or self.catalog.get(id_) is None:
                found.append(Finding(entry.key, Drift.ORPHANED, None, orphan=entry.key))
        return found

    def _inspected(self, key: str) -> list[Finding]:
        state = self.inspect(key)
        if state.drift is None:
            return []
        denial = state.original.refusal if state.original and state.original.is_unreadable else None
        if state.drift is Drift.UNREADABLE:
            detail = str(denial or (state.record and state.record.message))
            return [Finding(key, Drift.UNREADABLE, None, detail=detail)]
        found = self._finding(key, state.drift)
        # To be recorded as refused.
        return [found if denial is None else replace(found, drift=Drift.UNREADABLE, detail=str(denial))]

    def _finding(self, key: str, drift: Drift) -> Finding:
        return Finding(key, drift, Upload(self.bucket, key, UploadKind.RECONCILE))

    def delete_orphan(self, finding: Finding) -> Finding | None:
        """As `delete_orphans`, for one finding, which may have no orphan."""
        return next(iter(self.delete_orphans([finding])), None)

    def delete_orphans(self, findings: Iterable[Finding]) -> list[Finding]:
        """Delete the orphaned objects of ``findings``, and have the CDN forget them. Returns a finding for
        each that could not be deleted, which says why. Raises Unavailable if a store or the CDN's queue is
        down."""
        orphans = [finding.orphan for finding in findings if finding.orphan is not None]
        # Before, so that no crash loses it, and after, because a client may have requested one meanwhile.
        self._invalidate(orphans)
        failures = []
        for orphan in orphans:
            error = try_key(self, partial(self.processed.delete, orphan))
            if error is not None:
                failures.append(Finding(orphan, Drift.UNREADABLE, None, detail=str(error)))
        self._invalidate(orphans)
        return failures

    def _invalidate(self, orphans: Sequence[str]) -> None:
        if self.invalidate is None or not orphans:
            return
        now, keys = datetime.now(UTC), sorted(set(map(_invalidated_key, orphans)))
        # Each time another id: CloudFront ignores a reference that it knows.
        self.invalidate(
            [OutboxMessage(os.urandom(16).hex(), MessageKind.INVALIDATION, key, now) for key in keys]
        )

    def _try(self, key: str, check: _Check) -> list[Finding]:
        """What ``check`` finds; if only ``key`` fails, a finding that says why."""
        found: list[Finding] = []
        error = try_key(self, lambda: found.extend(check()))
        return found if error is None else [Finding(key, Drift.UNREADABLE, None, detail=str(error))]

    def _page(self, checks: Sequence[tuple[str, _Check]], position: Position) -> CheckedPage:
        return CheckedPage(tuple(chain.from_iterable(self._run(checks))), len(checks), position)

    def _deleting_page(
        self, checks: Sequence[tuple[str, _Check]], keys: int, position: Position
    ) -> CheckedPage:
        """A page of ``keys`` keys, of which those of ``checks`` may have no original. Its guard counts only
        this page."""
        found = self._run(checks)
        gone = sum(any(item.drift is Drift.ORPHANED for item in findings) for findings in found)
        return CheckedPage(tuple(chain.from_iterable(found)), keys, position, DeletionGuard(keys, gone))

    def _run(self, checks: Sequence[tuple[str, _Check]]) -> list[list[Finding]]:
        if self.threads == 1:
            return [self._try(key, check) for key, check in checks]
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - on AWS only

        with ThreadPoolExecutor(self.threads) as executor:
            return list(executor.map(lambda check: self._try(*check), checks))


def held(findings: Iterable[Finding], reason: str) -> tuple[Finding, ...]:
    """The same findings, with those that would delete something left to a person."""
    return tuple(
        Finding(finding.key, Drift.HELD, None, detail=reason) if finding.drift is Drift.ORPHANED else finding
        for finding in findings
    )


def _key(entry: CatalogEntry) -> str | None:
    """The original's key; None of an entry that only shows how far a scan is."""
    if entry.record is not None:
        return entry.record.key
    return entry.unsent[0].key if entry.unsent else None


def _invalidated_key(orphan: str) -> str:
    """A key whose invalidation covers a rendition: its original's, or what is left of that in the path."""
    prefix = orphan.rpartition("/")[0] + "/"
    return original_of(prefix) or prefix.rpartition("~")[0]


class Listing:
    """A store's entries in the order of their keys, read along with the listing of another store."""

    def __init__(self, store: ObjectStore, after: str) -> None:
        self._store = store
        self._entries = self._rest = store.list(start_after=after)

    def take_through(self, last: str, limit: int) -> list[Entry] | None:
        """The entries up to the key ``last`` that have not been taken. None if they are more than
        ``limit``; then they are skipped."""
        taken: list[Entry] = []
        for entry in self._entries:
            if entry.key > last:  # Python and UTF-8 order keys alike
                self._entries = chain([entry], self._rest)  # not one more layer with each page
                return taken
            taken.append(entry)
            if len(taken) > limit:
                self._entries = self._rest = self._store.list(start_after=last)
                return None
        return taken

    def take(self, count: int) -> list[Entry]:
        """The next entries, at most ``count``."""
        return list(islice(self._entries, count))


def _renditions_of(page: Sequence[Entry], stored: Listing) -> dict[str, list[Entry]]:
    """The renditions of a page of originals by key, from one listing. Left out: keys whose renditions are
    not all between the page's first key and its last.

    The renditions of `a` start with `a/`, which is before the next original's key unless that starts with
    `a`, too. Those of a long key are under a hashed prefix.
    """
    listed = stored.take_through(page[-1].key, _MAX_PER_ORIGINAL * len(page))
    if listed is None:
        return {}
    groups = _by_prefix(listed)
    inside = (
        entry.key
        for entry, following in pairwise(page)
        if not following.key.startswith(entry.key) and rendition_prefix(entry.key) == f"{entry.key}/"
    )
    return {key: groups.get(f"{key}/", []) for key in inside}


def _by_prefix(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The renditions among ``entries`` by their prefix, which ends in `/`."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        prefix, slash, name = entry.key.rpartition("/")
        if slash and is_rendition_name(name):
            groups.setdefault(prefix + slash, []).append(entry)
    return groups


def _existing(keys: Sequence[str], uploads: Listing) -> set[str]:
    """Those of ``keys`` that the listing of originals shows. It may miss some."""
    if not keys:
        return set()
    listed = uploads.take_through(max(keys), _MAX_PER_ORIGINAL * len(keys))
    return {entry.key for entry in listed or ()} & set(keys)
