"""Delivery: makes one rendition that no recipe declares, and keeps it under a name that needs a
signature. The only place of delivery that reads originals.

It needs no claim: the rendition carries a stamp of what it was made of, is only shown while the
stamp is right, and is taken back if the original changed meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from image_processor.domain.errors import NotFound, PreconditionFailed, Refused, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import (
    IccPolicy,
    ImageMetadata,
    Limits,
    Outcome,
    Record,
    RenderedImage,
    Status,
)
from image_processor.domain.ports import Attributes, Catalog, Entry, ObjectStore, StoredObject
from image_processor.domain.transformation import Transformation
from image_processor.renditions.freshness import (
    SOURCE_FINGERPRINT,
    fingerprint_metadata,
    is_on_demand,
    list_renditions,
    source_fingerprint,
)
from image_processor.renditions.originals import (
    OverlayVersions,
    head_original,
    overlay_versions,
    read_overlays,
)
from image_processor.renditions.renderer import Renderer

from .resolver import RenditionRef

_ROUNDS = 3
"""How often an original may change under our hands before the client has to ask again."""


class RenderResult(Struct, frozen=True):
    """A rendition with its bytes, and how many seconds each part of making it took."""

    stored: StoredObject
    seconds: Mapping[str, float]


class RenditionRepository(Struct, frozen=True):
    """Where delivery looks for what was made on demand. ``catalog`` knows which originals are refused."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    icc: IccPolicy

    def look(self, wanted: RenditionRef) -> StoredObject | None:
        """The stored rendition, without its bytes, if there is one that is still right.

        Raises NotFound where there is no original, or none that could be told from the stored name,
        and Refused where it is refused.
        """
        if wanted.declared:
            return self._head(wanted.stored_key)
        if wanted.transformation is None:
            return self.processed.head(wanted.stored_key)
        right = self.source_fingerprint(wanted.key, wanted.transformation)
        stored = self._head(wanted.stored_key)
        return stored if stored and stored.attributes.metadata.get(SOURCE_FINGERPRINT) == right else None

    def source_fingerprint(self, key: str, transformation: Transformation) -> str:
        """What a rendition of the original as it is now is stamped with."""
        return source_fingerprint(
            self.version(key), self.icc, overlay_versions(self.uploads, [transformation])
        )

    def version(self, key: str) -> str:
        """The original's version. Raises NotFound, and Refused where it cannot be looked at."""
        sight = head_original(self.uploads, key)
        if sight is None:
            raise NotFound(f"no original {key!r}")
        if sight.version is None:
            assert sight.refusal is not None
            raise sight.refusal
        return sight.version

    def record(self, key: str, version: str) -> Record | None:
        """What is on record of the original in this version. Raises Refused if that is a refusal."""
        record = self.catalog.get(image_id(self.bucket, key))
        if record is None or record.version != version or record.status is Status.PROCESSING:
            return None
        if record.status is Status.REFUSED and record.reason is not None:
            raise Refused(record.reason, record.message or "")
        return record

    def taken(self, wanted: RenditionRef, outcome: Outcome) -> RenderResult:
        """The declared rendition that work of ingest ended in. Raises Refused, NotFound."""
        record = outcome.record
        if record is not None and record.reason is not None:
            raise Refused(record.reason, record.message or "")
        stored = self.look(wanted)
        if stored is None:
            raise NotFound(f"no rendition {wanted.stored_key!r}")
        return RenderResult(stored, {})

    def _head(self, key: str) -> StoredObject | None:
        try:
            return self.processed.head(key)
        except NotFound:
            return None


class OnDemandRenderer(Struct, frozen=True):
    """Makes renditions on demand. ``most`` is how many of them an original may have: the oldest goes."""

    kept: RenditionRepository
    render: Renderer
    limits: Limits
    cache_control: Callable[[str], str]
    most: int
    clock: Callable[[], float] = time.perf_counter

    def make(self, wanted: RenditionRef) -> RenderResult:
        """The rendition, made, stored, and still right when it was stored.

        Raises NotFound, Refused, MissingExtra, and Unavailable where the original kept changing.
        """
        assert wanted.transformation is not None
        for _ in range(_ROUNDS):
            try:
                made = self._once(wanted, wanted.transformation)
            except PreconditionFailed:
                continue
            if made is not None:
                return made
        raise Unavailable(f"{wanted.key!r} kept changing while a rendition of it was made")

    def facts(self, key: str, version: str) -> ImageMetadata:
        """What the header of the original says, without decoding it. Raises as `make`, and
        PreconditionFailed where it is another version by now."""
        original = self._read(key, version)
        return self.render(
            original, (), self.limits, icc=self.kept.icc, summary=False, overlay_sources={}
        ).original

    def _once(self, wanted: RenditionRef, transformation: Transformation) -> RenderResult | None:
        version = self.kept.version(wanted.key)
        record = self.kept.record(wanted.key, version)
        self._make_room(wanted, record)
        started = self.clock()
        original = self._read(wanted.key, version)
        overlays = overlay_versions(self.kept.uploads, [transformation])
        bodies = read_overlays(self.kept.uploads, overlays, self.limits.max_bytes)
        fetched = self.clock()
        rendered = self.render(
            original, (transformation,), self.limits, icc=self.kept.icc, summary=False, overlay_sources=bodies
        )
        done = self.clock()
        stored = self._put(wanted, rendered.renditions[0], version, overlays)
        if stored is None:
            return None
        timings = rendered.timings
        seconds = {
            "fetch": fetched - started,
            "decode": timings.decode,
            "render": timings.render,
            "encode": timings.encode,
            "store": self.clock() - done,
        }
        return RenderResult(stored, seconds)

    def _read(self, key: str, version: str) -> bytes:
        try:
            return self.kept.uploads.get(key, limit=self.limits.max_bytes, version=version).body
        except NotFound as error:
            raise PreconditionFailed(f"{key!r} was deleted before it could be read") from error

    def _put(
        self, wanted: RenditionRef, made: RenderedImage, version: str, overlays: OverlayVersions
    ) -> StoredObject | None:
        """Store the rendition; None, and nothing stored, if it is of the past by now."""
        kept = self.kept
        metadata = {
            "sha256": made.metadata.sha256,
            "image": image_id(kept.bucket, wanted.key),
            **fingerprint_metadata(version, kept.icc, overlays),
        }
        attributes = Attributes(made.metadata.media_type, self.cache_control(wanted.key), metadata)
        entry = kept.processed.put(wanted.stored_key, made.body, attributes)
        # Whoever changed the original before this moment may have swept before we wrote.
        sight = head_original(kept.uploads, wanted.key)
        same_marks = overlay_versions(kept.uploads, [made.transformation]) == overlays
        if sight is None or sight.version != version or not same_marks:
            kept.processed.delete(wanted.stored_key)
            return None
        return StoredObject(entry, attributes, made.body)

    def _make_room(self, wanted: RenditionRef, record: Record | None) -> None:
        declared = {one.key for one in record.renditions} if record else set()
        stored = list_renditions(self.kept.processed, wanted.key)
        others = [one for one in stored if one.key not in declared]
        for entry in select_evictions(others, wanted.stored_key, self.most):
            self.kept.processed.delete(entry.key)


def select_evictions(stored: Sequence[Entry], coming: str, most: int) -> Sequence[Entry]:
    """Which of the renditions on demand have to go so that ``coming`` is one of at most ``most``: the
    oldest ones."""
    others = [one for one in stored if is_on_demand(one.key) and one.key != coming]
    others.sort(key=lambda entry: entry.modified)
    return others[: max(0, len(others) + 1 - most)]
