"""Delivery, step 2: what is stored and known of originals and their renditions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock

from msgspec import Struct

from image_processor.domain.errors import NotFound, Refused
from image_processor.domain.keys import image_id
from image_processor.domain.models import Focus, IccPolicy, ImageMetadata, Outcome, Record, Status
from image_processor.domain.ports import Catalog, ObjectStore, StoredObject
from image_processor.domain.transformation import Transformation
from image_processor.renditions.focus import uses_focus
from image_processor.renditions.freshness import SOURCE_FINGERPRINT, source_fingerprint
from image_processor.renditions.originals import head_original, head_overlays

from .resolver import RenditionRef

_CACHE_SIZE = 10_000
"""How many originals' metadata is cached, about 500 bytes each."""


class RenderResult(Struct, frozen=True):
    """A stored rendition, with its bytes if it was just rendered. ``timings`` are seconds by stage of the
    rendering; empty if it was stored already. Not ``is_stored``: there was no room for it."""

    stored: StoredObject
    timings: Mapping[str, float]
    is_stored: bool = True


class RenditionRepository(Struct, frozen=True):
    """Finds stored renditions and the state of their originals. ``catalog`` knows the refused ones."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    icc: IccPolicy

    def find(self, ref: RenditionRef) -> StoredObject | None:
        """The stored rendition without its bytes; None if it has to be rendered, because it is not stored
        or was made from another version of the original.

        Raises NotFound if there is no original, or if ``ref`` names a stored object that does not exist;
        Refused if the store refuses the original.
        """
        if ref.is_eager:
            return self._head(ref.stored_key)
        if ref.transformation is None:
            return self.processed.head(ref.stored_key)
        fingerprint = self.source_fingerprint(ref.key, ref.transformation)
        stored = self._head(ref.stored_key)
        return (
            stored if stored and stored.attributes.metadata.get(SOURCE_FINGERPRINT) == fingerprint else None
        )

    def source_fingerprint(self, key: str, transformation: Transformation) -> str:
        """The fingerprint of a rendition made from the current original. Raises as `original_version`."""
        overlays = head_overlays(self.uploads, [transformation])
        version = self.original_version(key)
        focus = self.focus(key, version) if uses_focus([transformation]) else None
        return source_fingerprint(version, self.icc, overlays, focus)

    def focus(self, key: str, version: str) -> Focus | None:
        """The focus of the original in this version; None if nobody has set it."""
        record = self.catalog.get(image_id(self.bucket, key))
        return record.focus_of(version) if record else None

    def original_version(self, key: str) -> str:
        """The current version of the original. Raises NotFound, and Refused if the store refuses it."""
        state = head_original(self.uploads, key)
        if state is None:
            raise NotFound(f"no original {key!r}")
        if state.version is None:
            assert state.refusal is not None
            raise state.refusal
        return state.version

    def record(self, key: str, version: str) -> Record | None:
        """The finished record of the original in this version, if any. Raises Refused if it was refused."""
        record = self.catalog.get(image_id(self.bucket, key))
        if record is None or record.version != version or record.status is Status.PROCESSING:
            return None
        if record.status is Status.REFUSED and record.reason is not None:
            raise Refused(record.reason, record.message or "")
        return record

    def after_ingest(self, ref: RenditionRef, outcome: Outcome) -> RenderResult:
        """The declared rendition, after ingest processed its original. Raises Refused, NotFound."""
        record = outcome.record
        if record is not None and record.reason is not None:
            raise Refused(record.reason, record.message or "")
        stored = self.find(ref)
        if stored is None:
            raise NotFound(f"no rendition {ref.stored_key!r}")
        return RenderResult(stored, {})

    def _head(self, key: str) -> StoredObject | None:
        try:
            return self.processed.head(key)
        except NotFound:
            return None


class MetadataCache:
    """Returns the metadata of originals: cached, from the record, or from ``read(key, version)``.
    Thread-safe."""

    def __init__(self, repository: RenditionRepository, read: Callable[[str, str], ImageMetadata]) -> None:
        self._repository = repository
        self._read = read
        self._lock = Lock()
        self._cache: OrderedDict[tuple[str, str], ImageMetadata] = OrderedDict()

    def __call__(self, key: str) -> ImageMetadata:
        """The metadata of the current original. Raises NotFound, Refused, and what ``read`` raises."""
        version = self._repository.original_version(key)
        with self._lock:
            if (key, version) in self._cache:
                self._cache.move_to_end((key, version))
                return self._cache[key, version]
        record = self._repository.record(key, version)
        metadata = record.original if record is not None else None
        metadata = metadata or self._read(key, version)
        with self._lock:
            self._cache[key, version] = metadata
            while len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return metadata
