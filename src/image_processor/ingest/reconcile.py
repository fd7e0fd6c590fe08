"""The last step of ingest: wanted (originals x recipe) minus actual = work.

It finds what lost events, crashes, a changed recipe or a changed limit left behind. It only
finds; each finding is an upload like any other, and process does the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import NotFound
from image_processor.domain.keys import image_id, original_of
from image_processor.domain.models import ExifField, IccPolicy, Limits, Upload, UploadKind
from image_processor.domain.ports import Catalog, Entry, ObjectStore
from image_processor.domain.transformation import is_rendition_name
from image_processor.renditions.freshness import is_on_demand, is_stale, list_renditions
from image_processor.renditions.originals import OriginalState, head_original, overlay_versions

from .drift import Drift, detect_drift
from .plan import plan_upload


class Finding(Struct, frozen=True):
    """One key that needs work and why. ``upload`` is what to process; it is None where only the
    stray object ``orphan`` is left to delete, of an original whose key nobody knows any more.
    ``detail`` says more; where it comes without both, only people can help."""

    key: str
    drift: Drift
    upload: Upload | None
    orphan: str | None = None
    detail: str | None = None


class Reconciler(Struct, frozen=True):
    """What the search compares. It writes nothing."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe
    limits: Limits
    icc: IccPolicy
    exif: tuple[ExifField, ...] = ()

    def findings(self) -> Iterator[Finding]:
        """Every key that needs work, each once. Memory grows by one id per original."""
        seen: set[str] = set()
        for search in (self._from_originals, self._from_records, self._from_renditions):
            yield from search(seen)

    def _from_originals(self, seen: set[str]) -> Iterator[Finding]:
        for entry in self.uploads.list():
            seen.add(image_id(self.bucket, entry.key))
            # The listing's version saves a request per original; a closer look confirms a finding.
            drift = self._judge(entry.key, OriginalState(entry.version))
            if drift is not None:
                yield from self._look(entry.key)
            if drift in {None, Drift.ORPHANED}:  # where no rule wants the original, process leaves them alone
                yield from self._past(entry)

    def _from_records(self, seen: set[str]) -> Iterator[Finding]:
        for record in self.catalog.scan():
            if record.id not in seen:
                seen.add(record.id)
                yield from self._look(record.key)

    def _from_renditions(self, seen: set[str]) -> Iterator[Finding]:
        """Renditions left of originals that have neither object nor record."""
        for prefix, entries in groupby(self.processed.list(), _prefix):
            if not prefix:
                continue
            key = original_of(prefix)
            if key is None:
                yield from self._strays(prefix, list(entries), seen)
                continue
            id_ = image_id(self.bucket, key)
            if id_ not in seen and list_renditions(self.processed, key):
                seen.add(id_)
                yield self._finding(key, Drift.ORPHANED)

    def _strays(self, prefix: str, entries: list[Entry], seen: set[str]) -> Iterator[Finding]:
        """Under a hashed prefix only the object itself still tells which image it belongs to."""
        for entry in entries:
            if not is_rendition_name(entry.key.removeprefix(prefix)):
                continue
            try:
                id_ = self.processed.head(entry.key).attributes.metadata.get("image", "")
            except NotFound:
                continue
            if id_ not in seen and self.catalog.get(id_) is None:
                yield Finding(entry.key, Drift.ORPHANED, None, orphan=entry.key)

    def _past(self, original: Entry) -> Iterator[Finding]:
        """Renditions on demand that are of the past."""
        entries = [one for one in list_renditions(self.processed, original.key) if is_on_demand(one.key)]
        record = self.catalog.get(image_id(self.bucket, original.key)) if entries else None
        recorded = {one.key for one in record.renditions} if record else set()
        for entry in entries:
            if entry.key not in recorded and is_stale(
                entry.key, original.version, self.uploads, self.processed, self.icc
            ):
                yield Finding(original.key, Drift.STALE, None, orphan=entry.key)

    def _look(self, key: str) -> Iterator[Finding]:
        drift = self._judge(key, head_original(self.uploads, key))
        if drift is not None:
            yield self._finding(key, drift)

    def _judge(self, key: str, original: OriginalState | None) -> Drift | None:
        overlays = overlay_versions(self.uploads, self.recipe.transformations_for(key))
        plan = plan_upload(key, self.recipe, self.icc, self.exif, overlays)
        record = self.catalog.get(image_id(self.bucket, key))
        return detect_drift(plan, self.limits, original, record, list_renditions(self.processed, key))

    def _finding(self, key: str, drift: Drift) -> Finding:
        return Finding(key, drift, Upload(self.bucket, key, UploadKind.RECONCILE))


def _prefix(entry: Entry) -> str:
    return entry.key[: entry.key.rfind("/") + 1]
