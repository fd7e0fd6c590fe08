"""Puts the renditions of one claim into the processed store, each as soon as it is made: while it is
on its way, the next one is encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import NotFound, PreconditionFailed, Unavailable
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import Lease, RenderedImage, Rendition, Status
from image_processor.domain.ports import ABSENT, Absent, Attributes, Catalog, Entry, ObjectStore
from image_processor.domain.transformation import Transformation
from image_processor.renditions.freshness import list_renditions

_ROUNDS = 5
"""How often a rendition may be written by others before the queue has to try again."""


class UploadTarget(Struct, frozen=True):
    """Where renditions are put, and how: each over exactly what was there under this claim.

    The condition is the fence: a worker that slept through the end of its claim finds other
    versions there and stops, instead of writing old pixels over new ones.
    """

    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe
    cache_control: str
    lease: timedelta
    clock: Callable[[], datetime]

    def put(self, claim: Lease, image: RenderedImage, versions: Mapping[str, str]) -> Rendition:
        """``versions`` are those of the keys that were there. Raises LeaseLost, Unavailable."""
        if self.clock() > claim.expires_at - self.lease / 2:
            claim = self._renew(claim)
        key = self._key_of(claim, image)
        metadata = {"sha256": image.metadata.sha256, "image": claim.image_id}
        cache_control = self.recipe.cache_control_for(claim.record.key) or self.cache_control
        attributes = Attributes(image.metadata.media_type, cache_control, metadata)
        condition: str | Absent = versions.get(key, ABSENT)
        for _ in range(_ROUNDS):
            try:
                entry = self.processed.put(key, image.body, attributes, condition=condition)
            except PreconditionFailed:
                # Somebody wrote in between. With the claim still ours it was a worker that had
                # lost its own, and ours is the newer truth; else renew raises LeaseLost.
                claim = self._renew(claim)
                condition = self._version_of(key)
            else:
                return Rendition(key, str(image.transformation), image.metadata, entry.version)
        raise Unavailable(f"{key!r} kept changing while it was written")

    def _key_of(self, claim: Lease, image: RenderedImage) -> str:
        original = claim.record.key
        return rendition_prefix(original) + self.recipe.stored_name(original, image.transformation)

    def _renew(self, claim: Lease) -> Lease:
        return self.catalog.renew(claim, now=self.clock(), duration=self.lease)

    def _version_of(self, key: str) -> str | Absent:
        try:
            return self.processed.head(key).entry.version
        except NotFound:
            return ABSENT


class RenditionWriter:
    """What is on its way to ``place`` under ``claim``, on ``threads``, which wait for S3's answers.

    Where renditions of an earlier version are finished, none is put before all are made: a failure amid
    the work would leave some of each version there.
    """

    def __init__(self, place: UploadTarget, claim: Lease, threads: Executor) -> None:
        self._place = place
        self._claim = claim
        self._threads = threads
        self._listing = threads.submit(list_renditions, place.processed, claim.record.key)
        self._puts: dict[Transformation, Future[Rendition]] = {}
        self._at_once = claim.record.status is Status.PROCESSING
        self._held: list[RenderedImage] = []

    def put(self, image: RenderedImage) -> None:
        """Have the rendition put, and go on at once. From any thread."""
        if self._at_once:
            self._begin(image)
        else:
            self._held.append(image)

    def _begin(self, image: RenderedImage) -> None:
        self._puts[image.transformation] = self._threads.submit(self._put, image)

    def before(self) -> list[Entry]:
        """What was there when the claim was new."""
        return self._listing.result()

    def renditions(self, wanted: Iterable[Transformation]) -> tuple[Rendition, ...]:
        """All of them, when all are made and there. Writes that have begun are finished, each behind its own
        condition; the first error is raised."""
        for image in self._held:
            self._begin(image)
        self._held.clear()
        return tuple([self._puts[transformation].result() for transformation in wanted])

    def stored(self) -> Sequence[Entry]:
        """What lies there when nothing is on its way any more."""
        if not self._puts:
            return self.before()
        self.renditions(list(self._puts))
        return list_renditions(self._place.processed, self._claim.record.key)

    def _put(self, image: RenderedImage) -> Rendition:
        versions = {entry.key: entry.version for entry in self.before()}
        return self._place.put(self._claim, image, versions)
