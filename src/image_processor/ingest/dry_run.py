"""Ingest: what another recipe would change, found without a change of anything.

The search is that of `reconcile` with the other recipe. Its findings are counted in place of being repaired.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from msgspec import Struct

from image_processor.domain.ports import KeyOrderedCatalog

from .drift import Drift
from .merging_reconcile import MergingReconciler

_MADE_ANEW = frozenset({Drift.MISSING, Drift.UNFINISHED, Drift.CHANGED, Drift.STALE, Drift.DAMAGED})
_REMOVED = frozenset({Drift.ORPHANED, Drift.HELD})
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


def dry_run(reconciler: MergingReconciler, should_stop: Callable[[], bool]) -> DryRun:
    """What ``reconciler``, by the recipe to be tried, would repair. ``should_stop`` is asked after each page
    of 500 originals. Raises Unavailable."""
    renditions = removed = 0
    anew: dict[str, None] = {}
    gone: set[str] = set()
    complete = True
    for page in reconciler.merged_pages(cast(KeyOrderedCatalog, reconciler.catalog)):
        for finding in page.findings:
            if finding.drift in _MADE_ANEW and finding.key not in anew:
                anew[finding.key] = None
                renditions += len(reconciler.recipe.eager_for(finding.key))
            elif finding.drift in _REMOVED and finding.key not in gone:
                gone.add(finding.key)
                removed += 1
        if should_stop():
            complete = False
            break
    examples = tuple([*anew, *sorted(gone)][:_MAX_EXAMPLES])
    return DryRun(len(anew), renditions, removed, complete, examples)
