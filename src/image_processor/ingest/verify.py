"""Beside reconcile, for whoever asks: reads every rendition again and finds what no listing shows.

A listing tells versions, not bytes: a disk that forgets a bit, or a program that writes into a file
and sets its time back, changes none. Bytes are streamed; memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator

from msgspec import Struct

from image_processor.domain.errors import NotFound, PreconditionFailed
from image_processor.domain.formats import FORMATS
from image_processor.domain.keys import original_of
from image_processor.domain.models import Record, Status, Upload, UploadKind
from image_processor.domain.ports import Catalog, Entry, ObjectStore
from image_processor.domain.transformation import is_rendition_name
from image_processor.renditions.freshness import is_on_demand

from .drift import Drift
from .reconcile import Finding

_MEDIA_TYPES = {format_.extension: format_.media_type for format_ in FORMATS.values()}


class Verifier(Struct, frozen=True):
    """What is read again. It writes nothing."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog

    def findings(self, found: Container[str] = ()) -> Iterator[Finding]:
        """Every key with a rendition that is not what its record says, each once, but for those in
        ``found``, which wait for work anyway; then every damaged rendition on demand.

        Raises Unavailable where an object cannot be read at all."""
        for record in self.catalog.scan():
            if record.status is Status.PROCESSED and record.key not in found:
                yield from self._of_record(record)
        for entry in self.processed.list():
            if is_on_demand(entry.key) and is_rendition_name(entry.key.rpartition("/")[2]):
                yield from self._on_demand(entry)

    def _of_record(self, record: Record) -> Iterator[Finding]:
        for rendition in record.renditions:
            facts = rendition.metadata
            harm = _harm(self.processed, rendition.key, rendition.version, facts.sha256, facts.media_type)
            if harm is not None:
                yield self._finding(record, f"{rendition.key.rpartition('/')[2]} {harm}")
                return

    def _finding(self, record: Record, harm: str) -> Finding:
        """Made anew of a damaged original, good renditions would give way to bad ones or to none."""
        version, facts = record.version, record.original
        if version and facts and _harm(self.uploads, record.key, version, facts.sha256, None):
            detail = f"{harm}, and so has its original: bring that back from a copy"
            return Finding(record.key, Drift.DAMAGED, None, detail=detail)
        upload = Upload(self.bucket, record.key, UploadKind.REPROCESS)
        return Finding(record.key, Drift.DAMAGED, upload, detail=harm)

    def _on_demand(self, entry: Entry) -> Iterator[Finding]:
        """What no record knows, its own metadata does. Removed, it is made when next asked for."""
        try:
            metadata = self.processed.head(entry.key).attributes.metadata
        except NotFound:
            return
        digest = metadata.get("sha256")
        media_type = _MEDIA_TYPES.get(entry.key.rpartition(".")[2])
        harm = _harm(self.processed, entry.key, entry.version, digest, media_type) if digest else None
        if harm and not self._is_recorded(entry.key, metadata.get("image", "")):
            prefix, _, name = entry.key.rpartition("/")
            key = original_of(f"{prefix}/") or entry.key
            yield Finding(key, Drift.DAMAGED, None, orphan=entry.key, detail=f"{name} {harm}")

    def _is_recorded(self, key: str, image_id: str) -> bool:
        """Whether a record has the rendition: those of private presets are named as if on demand."""
        record = self.catalog.get(image_id)
        return record is not None and any(rendition.key == key for rendition in record.renditions)


def _harm(store: ObjectStore, key: str, version: str, sha256: str, media_type: str | None) -> str | None:
    """What is wrong with the object's bytes or media type, None if nothing is. An object that is gone
    or another one by now is for reconcile to find."""
    digest = hashlib.sha256()
    try:
        stored = store.head(key)
        if media_type is not None and stored.attributes.media_type != media_type:
            return f"is called {stored.attributes.media_type}, expected {media_type}"
        for chunk in store.read(key, 0, stored.entry.size, version=version):
            digest.update(chunk)
    except (NotFound, PreconditionFailed):
        return None
    return None if digest.hexdigest() == sha256 else "has other bytes than were written"
