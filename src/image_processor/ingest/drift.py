"""Compares what should exist for one key with what does. Pure; process asks it before working,
reconcile asks it about everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from image_processor.domain.models import Limits, Plan, Record, Status
from image_processor.domain.ports import Entry
from image_processor.renditions.freshness import is_on_demand
from image_processor.renditions.originals import OriginalState

from .plan import refusal_fingerprint


class Drift(StrEnum):
    """Why a key needs work."""

    MISSING = "missing"
    """An original without a record: its event was lost."""
    UNFINISHED = "unfinished"
    """A record that was claimed and never completed."""
    CHANGED = "changed"
    """The original is another version than the record's."""
    STALE = "stale"
    """The recipe, a limit or the rendering changed since."""
    DAMAGED = "damaged"
    """Renditions in the store are not those of the record."""
    ORPHANED = "orphaned"
    """A record or renditions without an original that wants them."""


def detect_drift(
    plan: Plan, limits: Limits, sight: OriginalState | None, record: Record | None, stored: Iterable[Entry]
) -> Drift | None:
    """Why the key of ``plan`` needs work, None if all is as it should be.

    ``sight`` is None where there is no original; ``stored`` are its renditions in the store. Those made
    on demand may be there, and are no concern of the recipe's, as long as the original is no refused one.
    """
    actual = {entry.key: entry.version for entry in stored}
    recorded = {one.key: one.version for one in record.renditions} if record else {}
    declared = {key: version for key, version in actual.items() if key in recorded or not is_on_demand(key)}
    if sight is None or plan.skip is not None:
        unwanted = actual if sight is None else declared
        return Drift.ORPHANED if record is not None or unwanted else None
    if record is None:
        return Drift.MISSING
    if record.status is Status.PROCESSING:
        return Drift.UNFINISHED
    if record.version != sight.version:
        return Drift.CHANGED
    if record.fingerprint != _wanted_fingerprint(plan, limits, record):
        return Drift.STALE
    expected = declared if record.status is Status.PROCESSED else actual
    return None if recorded == expected else Drift.DAMAGED


def _wanted_fingerprint(plan: Plan, limits: Limits, record: Record) -> str:
    if record.status is Status.REFUSED:
        return refusal_fingerprint(plan, limits)
    return plan.fingerprint
