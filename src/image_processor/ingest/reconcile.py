"""Ingest, last step: finds every key whose actual state differs from the wanted one.

Differences come from lost events, crashes, and changes of the recipe or the limits. The search only
finds; each finding is an upload like any other, and `process` does the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from msgspec import Struct

from image_processor.domain.errors import NotFound
from image_processor.domain.keys import image_id, original_of
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.ports import Entry
from image_processor.domain.transformation import is_rendition_name
from image_processor.renditions.freshness import is_on_demand, is_stale, list_renditions
from image_processor.renditions.originals import OriginalState

from .drift import Drift, Inspector


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


class Reconciler(Inspector, frozen=True):
    """An Inspector of all keys: of the originals, then of the records, then of the renditions."""

    def findings(self) -> Iterator[Finding]:
        """Every key that needs work, once. Memory grows by one image id per original."""
        seen: set[str] = set()
        for search in (self._from_originals, self._from_records, self._from_renditions):
            yield from search(seen)

    def _from_originals(self, seen: set[str]) -> Iterator[Finding]:
        for entry in self.uploads.list():
            seen.add(image_id(self.bucket, entry.key))
            # The listed version saves a request per original; a second look confirms a finding.
            drift = self.compare(entry.key, OriginalState(entry.version)).drift
            if drift is not None:
                yield from self._inspected(entry.key)
            if drift in {None, Drift.ORPHANED}:  # of a skipped original, process keeps on-demand renditions
                yield from self._stale_on_demand(entry)

    def _from_records(self, seen: set[str]) -> Iterator[Finding]:
        for record in self.catalog.scan():
            if record.id not in seen:
                seen.add(record.id)
                yield from self._inspected(record.key)

    def _from_renditions(self, seen: set[str]) -> Iterator[Finding]:
        """Renditions of originals that have neither an object nor a record."""
        for prefix, entries in groupby(self.processed.list(), _prefix):
            if not prefix:
                continue
            key = original_of(prefix)
            if key is None:
                yield from self._orphans(prefix, list(entries), seen)
                continue
            id_ = image_id(self.bucket, key)
            if id_ not in seen and list_renditions(self.processed, key):
                seen.add(id_)
                yield self._finding(key, Drift.ORPHANED)

    def _orphans(self, prefix: str, entries: list[Entry], seen: set[str]) -> Iterator[Finding]:
        """Orphans under a hashed prefix, where only the object's metadata names the image."""
        for entry in entries:
            if not is_rendition_name(entry.key.removeprefix(prefix)):
                continue
            try:
                id_ = self.processed.head(entry.key).attributes.metadata.get("image", "")
            except NotFound:
                continue
            if id_ not in seen and self.catalog.get(id_) is None:
                yield Finding(entry.key, Drift.ORPHANED, None, orphan=entry.key)

    def _stale_on_demand(self, original: Entry) -> Iterator[Finding]:
        """On-demand renditions of other sources than the current ones."""
        on_demand = [
            entry for entry in list_renditions(self.processed, original.key) if is_on_demand(entry.key)
        ]
        record = self.record(original.key) if on_demand else None
        recorded = {rendition.key for rendition in record.renditions} if record else set()
        for entry in on_demand:
            if entry.key not in recorded and is_stale(
                entry.key, original.version, self.uploads, self.processed, self.icc
            ):
                yield Finding(original.key, Drift.STALE, None, orphan=entry.key)

    def _inspected(self, key: str) -> Iterator[Finding]:
        drift = self.inspect(key).drift
        if drift is not None:
            yield self._finding(key, drift)

    def _finding(self, key: str, drift: Drift) -> Finding:
        return Finding(key, drift, Upload(self.bucket, key, UploadKind.RECONCILE))


def _prefix(entry: Entry) -> str:
    return entry.key[: entry.key.rfind("/") + 1]
