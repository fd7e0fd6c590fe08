"""Ingest, a part of reconcile on request: reads every rendition and compares its bytes with its SHA-256.

A listing shows versions and no bytes, so it does not show a disk error, or a program that wrote into a
file and reset its time. Objects are read in chunks; memory does not grow with their size or number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import NotFound, PreconditionFailed, Unreadable
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import original_of
from image_processor.domain.models import Record, Status, Upload, UploadKind
from image_processor.domain.ports import Catalog, Entry, ObjectStore
from image_processor.domain.transformation import is_rendition_name
from image_processor.renditions.freshness import is_on_demand

from .drift import Drift
from .key_errors import try_key
from .reconcile import Finding

_MEDIA_TYPES = {format_.extension: format_.media_type for format_ in FORMATS.values()}


class Verifier(Struct, frozen=True):
    """Reads the renditions of one upload bucket. It writes nothing. ``recipe`` has the lazy presets, whose
    renditions no record lists."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe

    def findings(self, found: Container[str] = ()) -> Iterator[Finding]:
        """Every key with a damaged rendition, once; then every damaged rendition that was made
        on demand or at its first view.

        Leaves out the keys in ``found``: reconcile makes their renditions again anyway. An object whose
        reading fails is a finding, too. Raises Unavailable if a store is down.
        """
        for record in self.catalog.scan():
            if record.status is Status.PROCESSED and record.key not in found:
                yield from self._try(record.key, self._check_record(record))
        for entry in self.processed.list():
            if self._is_made_at_request(entry.key):
                yield from self._try(entry.key, self._check_on_demand(entry))

    def _try(self, key: str, findings: Iterator[Finding]) -> list[Finding]:
        """All ``findings`` of ``key``; if only this key fails, a finding that says why."""
        found: list[Finding] = []
        error = try_key(self, lambda: found.extend(findings))
        return found if error is None else [Finding(key, Drift.UNREADABLE, None, detail=str(error))]

    def _is_made_at_request(self, key: str) -> bool:
        prefix, slash, name = key.rpartition("/")
        if not is_rendition_name(name):
            return False
        return is_on_demand(key) or key in self.recipe.lazy_for(original_of(prefix + slash) or "")

    def _check_record(self, record: Record) -> Iterator[Finding]:
        for rendition in record.renditions:
            expected = rendition.metadata
            damage = _damage(
                self.processed, rendition.key, rendition.version, expected.sha256, expected.media_type
            )
            if damage is not None:
                yield self._finding(record, f"{rendition.key.rpartition('/')[2]} {damage}")
                return

    def _finding(self, record: Record, damage: str) -> Finding:
        """Reprocess the upload, unless its original is damaged, too: that would replace the good
        renditions that are left."""
        version, original = record.version, record.original
        if version and original and _damage(self.uploads, record.key, version, original.sha256, None):
            detail = f"{damage}, and its original is damaged, too: restore the original from a backup"
            return Finding(record.key, Drift.DAMAGED, None, detail=detail)
        upload = Upload(self.bucket, record.key, UploadKind.REPROCESS)
        return Finding(record.key, Drift.DAMAGED, upload, detail=damage)

    def _check_on_demand(self, entry: Entry) -> Iterator[Finding]:
        """No record describes it, but its object metadata does. After it is deleted, the next request
        makes it again."""
        try:
            metadata = self.processed.head(entry.key).attributes.metadata
        except NotFound:
            return
        digest = metadata.get("sha256")
        media_type = _MEDIA_TYPES.get(entry.key.rpartition(".")[2])
        damage = _damage(self.processed, entry.key, entry.version, digest, media_type) if digest else None
        if damage and not self._is_recorded(entry.key, metadata.get("image", "")):
            prefix, _, name = entry.key.rpartition("/")
            key = original_of(f"{prefix}/") or entry.key
            yield Finding(key, Drift.DAMAGED, None, orphan=entry.key, detail=f"{name} {damage}")

    def _is_recorded(self, key: str, image_id: str) -> bool:
        """Whether a record lists the rendition: those of private presets have names like on-demand ones."""
        record = self.catalog.get(image_id)
        return record is not None and any(rendition.key == key for rendition in record.renditions)


def _damage(store: ObjectStore, key: str, version: str, sha256: str, media_type: str | None) -> str | None:
    """What is wrong with the object's media type or bytes; None if nothing is, and if the object was
    deleted or replaced, which reconcile finds."""
    digest = hashlib.sha256()
    try:
        stored = store.head(key)
        if media_type is not None and stored.attributes.media_type != media_type:
            return f"has media type {stored.attributes.media_type}, expected {media_type}"
        for chunk in store.read(key, 0, stored.entry.size, version=version):
            digest.update(chunk)
    except (NotFound, PreconditionFailed):
        return None
    except Unreadable:
        return "cannot be read"
    return None if digest.hexdigest() == sha256 else "has other bytes than were written"
