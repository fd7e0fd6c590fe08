"""Ingest, between plan and process: compares what should exist for one key with what exists.

`process` asks before it works on a key, `reconcile` asks for every key, and `dead_letters` for the
keys of failed messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import NotFound, Reason, Refused
from image_processor.domain.keys import image_id
from image_processor.domain.models import ExifField, IccPolicy, Limits, Plan, Record, Status
from image_processor.domain.ports import Catalog, Entry, ObjectStore, RecordState
from image_processor.renditions.freshness import (
    REFUSALS_TO_RETRY,
    is_corrected,
    is_on_demand,
    list_renditions,
)
from image_processor.renditions.originals import OriginalState, head_original, head_overlays, read_denial

from .plan import (
    plan_upload,
    processed_fingerprint,
    refusal_fingerprint,
    uncorrected_fingerprints,
    uncorrected_refusal,
)


class Drift(StrEnum):
    """How the actual state of a key differs from the wanted one."""

    MISSING = "missing"
    """An original without a record: its event was lost or has not arrived yet."""
    UNFINISHED = "unfinished"
    """A record that was leased for the first time and never completed."""
    CHANGED = "changed"
    """The original has another version than the record."""
    STALE = "stale"
    """The recipe, a limit, an overlay image, the rendering or the Cache-Control changed since the record
    was written."""
    DAMAGED = "damaged"
    """The stored renditions are not those of the record."""
    UNSENT = "unsent"
    """A message about an earlier outcome is still in the outbox: its worker ended before it was sent."""
    ORPHANED = "orphaned"
    """A record or renditions of an original that is deleted, or that no rule of the recipe matches."""
    HELD = "held"
    """As ORPHANED, but too many originals are gone at once: the deletion waits for a person."""
    READABLE = "readable"
    """The original or an overlay image was refused as unreadable, and can be read now."""
    UNREADABLE = "unreadable"
    """The original, its record or a rendition cannot be read. What can be done without it is done."""


_NEEDS_ORIGINAL = frozenset({Drift.MISSING, Drift.UNFINISHED, Drift.CHANGED, Drift.STALE, Drift.DAMAGED})


class KeyState(Struct, frozen=True):
    """The original (None: it does not exist), the record, and the drift. If that is None or UNREADABLE, no
    work is left."""

    original: OriginalState | None
    record: Record | None
    drift: Drift | None


class Inspector(Struct, frozen=True):
    """Compares keys of one upload bucket with their plans. It reads, and writes nothing.

    ``cache_control`` is the header of renditions for which the recipe has none. Every method that does
    I/O may raise Unavailable."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe
    limits: Limits
    icc: IccPolicy
    cache_control: str
    exif: tuple[ExifField, ...] = ()

    def inspect(self, key: str) -> KeyState:
        """The state of ``key`` with the original as it is now. Raises InvalidKey.

        If the original must be rendered, a byte of it and of its overlay images is read: one that is denied
        is not worth a try.
        """
        state = self.compare(key, head_original(self.uploads, key))
        if state.drift not in _NEEDS_ORIGINAL or state.original is None or state.original.refusal:
            return state
        denial = self._denial(self.plan(key))
        return state if denial is None else self.compare(key, OriginalState(state.original.version, denial))

    def compare(self, key: str, original: OriginalState | None) -> KeyState:
        """The state of ``key`` for an ``original`` that the caller has looked up or listed."""
        record = self.record(key)
        plan = self.plan(key, record)
        return KeyState(original, record, self.find_drift(plan, original, record))

    def plan(self, key: str, record: Record | None = None) -> Plan:
        """What should exist for ``key`` by the recipe, with the current versions of the overlay images, and
        the focus of its ``record``."""
        focus = record.focus if record else None
        overlays = head_overlays(self.uploads, self.recipe.eager_for(key))
        return plan_upload(key, self.recipe, self.icc, self.exif, overlays, self.cache_control, focus)

    def record(self, key: str) -> Record | None:
        """The catalog's record of ``key``."""
        return self.catalog.get(image_id(self.bucket, key))

    def find_drift(self, plan: Plan, original: OriginalState | None, record: Record | None) -> Drift | None:
        """`detect_drift` with the renditions that are stored now."""
        return self.find_drift_among(plan, original, record, list_renditions(self.processed, plan.key))

    def find_drift_among(
        self, plan: Plan, original: OriginalState | None, record: Record | None, stored: Iterable[Entry]
    ) -> Drift | None:
        """`detect_drift`, which reads the header of renditions if their record does not have it."""
        drift = detect_drift(plan, self.limits, original, record, stored)
        if drift is not None or record is None or original is None:
            return drift
        if record.reason is Reason.UNREADABLE and original.refusal is None:
            return Drift.READABLE if self._denial(plan) is None else Drift.UNREADABLE
        return Drift.STALE if self._has_old_header(plan, record) else None

    def _denial(self, plan: Plan) -> Refused | None:
        """Why the original or an overlay image of ``plan`` cannot be read; None if all can."""
        return read_denial(self.uploads, [plan.key, *(key for key, _ in plan.overlay_versions)])

    def _has_old_header(self, plan: Plan, record: Record) -> bool:
        """Whether a record of version 0.2 or earlier has renditions with another Cache-Control."""
        if record.fingerprint != plan.fingerprint or not record.renditions:
            return False
        try:
            stored = self.processed.head(record.renditions[0].key)
        except NotFound:
            return False
        return stored.attributes.cache_control != plan.cache_control


def detect_drift(
    plan: Plan,
    limits: Limits,
    original: OriginalState | None,
    record: Record | None,
    stored: Iterable[Entry],
) -> Drift | None:
    """How the key of ``plan`` differs from its plan, None if it does not. Pure.

    ``original`` is None if there is none; ``stored`` are the renditions in the processed store.
    Renditions made on demand or at their first view are no drift, stored or not, unless the original is
    refused or does not exist. Renditions of an unreadable original stay, unless it is known to have another
    version than they.
    """
    actual = {entry.key: entry.version for entry in stored}
    recorded = {rendition.key: rendition.version for rendition in record.renditions} if record else {}
    declared = {
        key: version
        for key, version in actual.items()
        if key in recorded or not (is_on_demand(key) or key in plan.lazy)
    }
    if original is None or plan.skip is not None:
        unwanted = actual if original is None else declared
        return Drift.ORPHANED if record is not None or unwanted else None
    if record is None:
        return Drift.MISSING
    if (drift := _record_drift(plan, limits, original, record)) is not None:
        return drift
    expected = declared if record.status is Status.PROCESSED else actual
    return None if recorded == expected else Drift.DAMAGED


class ExpectedFingerprints(Struct, frozen=True):
    """The fingerprints that an up-to-date record of a plan may have."""

    processed: str
    """Of a processed record."""
    refused: str
    """Of a refused record."""
    uncorrected: str
    """Of a processed record from before the last correction, if that does not affect its format."""
    uncorrected_refusal: str
    """Of a refused record from before the last correction, if that does not affect its reason."""

    @classmethod
    def of(cls, plan: Plan, limits: Limits) -> ExpectedFingerprints | None:
        """Those of ``plan``; None if it has no renditions."""
        if plan.skip is not None:
            return None
        # Not that of version 0.1, which does not cover the header of the renditions.
        uncorrected = uncorrected_fingerprints(plan)[0]
        refusals = refusal_fingerprint(plan, limits), uncorrected_refusal(plan, limits)
        return cls(processed_fingerprint(plan), refusals[0], uncorrected, refusals[1])


def is_current(
    expected: ExpectedFingerprints | None, version: str, state: RecordState | None, stored: Mapping[str, str]
) -> bool:
    """Whether an original in ``version`` certainly has neither drift nor stale renditions. Pure.

    ``stored`` are the versions of all objects under the prefix of its renditions, by key. False does not mean
    the opposite: renditions made on demand, for example, are checked by their own metadata.
    """
    if expected is None:
        return state is None and not stored
    if state is None or state.has_focus or state.version != version or state.renditions != stored:
        return False
    if state.status is Status.REFUSED:
        is_final = state.reason not in REFUSALS_TO_RETRY
        is_known = state.fingerprint == expected.refused or (
            is_final and state.fingerprint == expected.uncorrected_refusal
        )
        return is_known and state.reason is not Reason.UNREADABLE
    if state.status is not Status.PROCESSED:
        return False
    if state.fingerprint == expected.uncorrected:
        return not is_corrected(state.format, alpha=state.alpha)
    return state.fingerprint == expected.processed


def _record_drift(plan: Plan, limits: Limits, original: OriginalState, record: Record) -> Drift | None:
    if record.status is Status.PROCESSING:
        return Drift.UNFINISHED
    if original.is_unreadable and original.may_have_version(record.version):
        return Drift.UNREADABLE
    if record.version != original.version:
        return Drift.CHANGED
    is_current = record.fingerprint in _current_fingerprints(plan, limits, record)
    return None if is_current else Drift.STALE


def _current_fingerprints(plan: Plan, limits: Limits, record: Record) -> tuple[str, ...]:
    """Those of this version; and of earlier ones, unless it may do better with this original."""
    if record.status is Status.REFUSED:
        is_final = record.reason not in REFUSALS_TO_RETRY
        return refusal_fingerprint(plan, limits), *([uncorrected_refusal(plan, limits)] if is_final else [])
    original = record.original
    is_right = original is None or not is_corrected(original.format, alpha=original.alpha)
    return processed_fingerprint(plan), *(uncorrected_fingerprints(plan) if is_right else ())
