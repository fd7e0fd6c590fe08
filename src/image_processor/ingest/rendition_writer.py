"""Ingest, step 5: stores the renditions of one lease, each while the next one is encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import NotFound, PreconditionFailed, Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import Lease, OutboxMessage, RenderedImage, Rendition, Status
from image_processor.domain.ports import ABSENT, Absent, Attributes, Catalog, Entry, ObjectStore
from image_processor.domain.transformation import Transformation
from image_processor.renditions.freshness import list_renditions

_MAX_ATTEMPTS = 5
"""How often others may write one rendition before the upload is left to the queue's next try."""


class UploadTarget(Struct, frozen=True):
    """Writes single renditions into the processed store by conditional puts.

    The condition is the fence of docs/adr/0002: a worker whose lease has expired finds other
    versions there and stops, instead of overwriting new pixels with old ones. ``before_change`` is in the
    outbox before something is overwritten that others wrote meanwhile.
    """

    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe
    cache_control: str
    lease_duration: timedelta
    clock: Callable[[], datetime]
    before_change: Sequence[OutboxMessage] = ()

    def put(
        self, lease: Lease, image: RenderedImage, versions: Mapping[str, str], late_writes: list[Entry]
    ) -> Rendition:
        """Store ``image`` over exactly the version that ``versions`` has for its key, or as a new
        object if it has none. What a worker that had lost its lease has written meanwhile is overwritten
        and added to ``late_writes``. Raises LeaseLost, Unavailable."""
        if self.clock() > lease.expires_at - self.lease_duration / 2:
            lease = self._renew(lease)
        key = self._rendition_key(lease.record.key, image)
        attributes = self._attributes(lease, image)
        condition: str | Absent = versions.get(key, ABSENT)
        for _ in range(_MAX_ATTEMPTS):
            try:
                entry = self.processed.put(key, image.body, attributes, condition=condition)
            except PreconditionFailed:
                # Another worker wrote it. If renew succeeds, the lease is still ours, so the other
                # had lost its own and our rendition is the newer one. Else renew raises LeaseLost.
                late_write = self._find(key)
                lease = self._renew(lease, self.before_change if late_write else ())
                condition = late_write.version if late_write else ABSENT
                late_writes += [late_write] if late_write else []
            else:
                return Rendition(key, str(image.transformation), image.metadata, entry.version)
        raise Unavailable(f"{key!r} kept changing while it was written")

    def _rendition_key(self, original: str, image: RenderedImage) -> str:
        return rendition_prefix(original) + self.recipe.stored_name(original, image.transformation)

    def _attributes(self, lease: Lease, image: RenderedImage) -> Attributes:
        cache_control = self.recipe.cache_control_for(lease.record.key) or self.cache_control
        metadata = {**image.metadata.object_metadata, "image": lease.image_id}
        return Attributes(image.metadata.media_type, cache_control, metadata)

    def _renew(self, lease: Lease, messages: Sequence[OutboxMessage] = ()) -> Lease:
        return self.catalog.renew(lease, now=self.clock(), duration=self.lease_duration, messages=messages)

    def _find(self, key: str) -> Entry | None:
        try:
            return self.processed.head(key).entry
        except NotFound:
            return None


class RenditionWriter:
    """Stores the renditions of ``lease`` on the threads of ``executor``, which wait for the store.

    If the record has finished renditions of an earlier version, no put begins before all renditions
    are made: a failure in between would leave a mixture of two versions.
    """

    def __init__(self, target: UploadTarget, lease: Lease, executor: Executor) -> None:
        self._target = target
        self._lease = lease
        self._executor = executor
        self._listing = executor.submit(list_renditions, target.processed, lease.record.key)
        self._puts: dict[Transformation, Future[Rendition]] = {}
        self._write_at_once = lease.record.status is Status.PROCESSING
        self._held_back: list[RenderedImage] = []
        self._late_writes: list[Entry] = []

    def write(self, image: RenderedImage) -> None:
        """Begin to store ``image``, or hold it back until `finish`. Returns at once; thread-safe."""
        if self._write_at_once:
            self._begin(image)
        else:
            self._held_back.append(image)

    def listed(self) -> list[Entry]:
        """The renditions that were stored when the lease began. Waits for the listing."""
        return self._listing.result()

    def late_writes(self) -> list[Entry]:
        """What others wrote since and this writer has overwritten. Call `finish` first."""
        return list(self._late_writes)

    def finish(self, wanted: Iterable[Transformation]) -> tuple[Rendition, ...]:
        """Store what was held back, wait for all puts, and return the renditions in the order of
        ``wanted``. Raises the first error of a put; the caller's executor ends the other puts."""
        for image in self._held_back:
            self._begin(image)
        self._held_back.clear()
        return tuple([self._puts[transformation].result() for transformation in wanted])

    def abandon(self) -> Sequence[Entry]:
        """Wait for the puts that have begun, and return everything that is stored then."""
        if not self._puts:
            return self.listed()
        self.finish(list(self._puts))
        return list_renditions(self._target.processed, self._lease.record.key)

    def _begin(self, image: RenderedImage) -> None:
        self._puts[image.transformation] = self._executor.submit(self._put, image)

    def _put(self, image: RenderedImage) -> Rendition:
        versions = {entry.key: entry.version for entry in self.listed()}
        return self._target.put(self._lease, image, versions, self._late_writes)
