"""Delivery, step 3: renders one rendition that ingest does not make, and stores it: that of a lazy preset
under its declared name, any other under an on-demand name, which only a signature opens. The only part of
delivery that reads originals.

It takes no lease. The stored rendition carries a fingerprint of its sources, is served only while the
fingerprint matches, and is deleted again if a source changed during the rendering.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime
from threading import Lock

from msgspec import Struct
from msgspec.structs import replace

from image_processor.domain.errors import InsufficientStorage, NotFound, PreconditionFailed, Unavailable
from image_processor.domain.keys import image_id
from image_processor.domain.models import Focus, ImageMetadata, Limits, Record, RenderedImage
from image_processor.domain.ports import (
    Attributes,
    Entry,
    OpenOriginal,
    OriginalFile,
    Renderer,
    StoredObject,
)
from image_processor.domain.transformation import Fit, Transformation
from image_processor.renditions.focus import size_of, uses_focus, with_focus
from image_processor.renditions.freshness import fingerprint_metadata, is_on_demand, list_renditions
from image_processor.renditions.originals import (
    OverlayVersions,
    head_original,
    head_overlays,
    read_original,
    read_overlays,
)

from .repository import RenderResult, RenditionRepository
from .resolver import RenditionRef

_MAX_ATTEMPTS = 3
"""How often one request is rendered if its original changes meanwhile. Then the client has to retry."""

_SMALL = Transformation(width=512, height=512, fit=Fit.INSIDE)
"""What is decoded to see whether an alpha channel is opaque: small, but with rounded corners still seen."""

_NOT_STORED = ""
"""The version of a rendition that was not stored, because there is no room."""


class _Sources(Struct, frozen=True):
    """What a rendition is made from: the version of the original, those of overlays, and the focus."""

    version: str
    overlays: OverlayVersions
    focus: Focus | None


_MAX_KNOWN = 1000
"""Originals whose room is known."""


class KnownRoom:
    """How many more on-demand renditions of an original may be stored until its renditions have to be listed
    again. Only for a process that alone stores them. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._room: OrderedDict[str, int] = OrderedDict()

    def take(self, key: str) -> bool:
        """Whether there is room for one more of the original ``key``, which is then taken."""
        with self._lock:
            room = self._room.pop(key, 0)
            if room:
                self._room[key] = room - 1
            return room > 0

    def set(self, key: str, room: int) -> None:
        """Remember that ``room`` more may be stored."""
        with self._lock:
            self._room[key] = room
            self._room.move_to_end(key)
            if len(self._room) > _MAX_KNOWN:
                self._room.popitem(last=False)


class OnDemandRenderer(Struct, frozen=True):
    """Renders and stores on-demand renditions."""

    repository: RenditionRepository
    renderer: Renderer
    limits: Limits
    cache_control: Callable[[str], str]
    """Returns the Cache-Control of renditions of a key."""
    max_renditions: int
    """The most on-demand renditions of one original; the oldest are deleted."""
    lazy_for: Callable[[str], Container[str]] = lambda _: ()
    """Returns the renditions of lazy presets by stored key. They do not count."""
    clock: Callable[[], float] = time.perf_counter
    """Counts seconds."""
    prepare: Callable[[], None] = lambda: None
    """Starts what ``renderer`` needs, while the original is read."""
    open_original: OpenOriginal | None = None
    """Opens originals for ``renderer``, where they are files on this machine."""
    known_room: KnownRoom | None = None
    """Spares listings; None where other processes store renditions, too."""

    def render(self, ref: RenditionRef) -> RenderResult:
        """Render and store ``ref`` from the current original.

        Raises NotFound, Refused, MissingExtra, and Unavailable if the original keeps changing.
        """
        assert ref.transformation is not None
        for _ in range(_MAX_ATTEMPTS):
            try:
                result = self._attempt(ref, ref.transformation)
            except PreconditionFailed:
                continue
            if result is not None:
                return result
        raise Unavailable(f"the original {ref.key!r} kept changing during the rendering")

    def read_metadata(self, key: str, version: str) -> ImageMetadata:
        """The metadata in the header of the original. Only an alpha channel is decoded: it may be opaque
        throughout. Raises as `render`, and PreconditionFailed if the original has another version."""
        self.prepare()
        data = self._read_original(key, version)

        def read(*transformations: Transformation) -> ImageMetadata:
            icc = self.repository.icc
            rendered = self.renderer(
                data, transformations, self.limits, icc=icc, summary=False, overlay_sources={}
            )
            return rendered.original

        header = read()
        return read(_SMALL) if header.alpha and header.frames == 1 and header.format != "svg" else header

    def _attempt(self, ref: RenditionRef, transformation: Transformation) -> RenderResult | None:
        """One rendering; None if a source changed. Raises PreconditionFailed if it did before reading."""
        repository = self.repository
        version = repository.original_version(ref.key)
        self.prepare()
        record = repository.record(ref.key, version)  # raises Refused
        if not ref.declared:
            self._evict(ref, record)
        sources = _Sources(
            version,
            head_overlays(repository.uploads, [transformation]),
            record.focus_of(version) if record else None,
        )
        started = self.clock()
        data = self._read_original(ref.key, version)
        overlay_bodies = read_overlays(repository.uploads, sources.overlays, self.limits.max_bytes)
        fetched = self.clock()
        rendered = self.renderer(
            data,
            (with_focus(transformation, sources.focus, size_of(record)),),
            self.limits,
            icc=repository.icc,
            summary=False,
            overlay_sources=overlay_bodies,
        )
        finished = self.clock()
        image = replace(rendered.renditions[0], transformation=transformation)
        stored = self._store(ref, image, sources)
        if stored is None:
            return None
        is_stored = stored.entry.version != _NOT_STORED
        timings = {
            "fetch": fetched - started,
            "decode": rendered.timings.decode,
            "render": rendered.timings.render,
            "encode": rendered.timings.encode,
            "store": self.clock() - finished,
        }
        return RenderResult(stored, timings, is_stored)

    def _read_original(self, key: str, version: str) -> bytes | OriginalFile:
        uploads, limit = self.repository.uploads, self.limits.max_bytes
        try:
            return read_original(
                uploads, key, limit=limit, version=version, open_original=self.open_original
            ).data
        except NotFound as error:
            raise PreconditionFailed(f"{key!r} was deleted before it could be read") from error

    def _store(self, ref: RenditionRef, image: RenderedImage, sources: _Sources) -> StoredObject | None:
        """Store the rendition. None, and nothing is stored, if a source has changed. Without room for it, it
        has the version _NOT_STORED."""
        repository = self.repository
        metadata = {
            **image.metadata.object_metadata,
            "image": image_id(repository.bucket, ref.key),
            **fingerprint_metadata(
                sources.version,
                repository.icc,
                sources.overlays,
                sources.focus,
                has_focus=uses_focus([image.transformation]),
            ),
        }
        attributes = Attributes(image.metadata.media_type, self.cache_control(ref.key), metadata)
        # A CDN serves what is stored under a public name without asking: do not store old bytes even for the
        # moment until the next check, if that can be known.
        if ref.is_public and self._has_changed(ref.key, image.transformation, sources):
            return None
        entry = self._put(ref.stored_key, image.body, attributes)
        # Ingest may have processed a change of the original, and deleted its old renditions, just before
        # this one was stored.
        if self._has_changed(ref.key, image.transformation, sources):
            repository.processed.delete(ref.stored_key)
            return None
        return StoredObject(entry, attributes, image.body)

    def _put(self, key: str, body: bytes, attributes: Attributes) -> Entry:
        """Store a rendition, unless there is no room: its reader gets it all the same, and the next one has
        it rendered again."""
        try:
            return self.repository.processed.put(key, body, attributes)
        except InsufficientStorage:
            return Entry(key, len(body), _NOT_STORED, datetime.now(UTC))

    def _has_changed(self, key: str, transformation: Transformation, sources: _Sources) -> bool:
        """Whether the original has another version by now, one of the overlay images has, or another focus is
        set."""
        uploads = self.repository.uploads
        state = head_original(uploads, key)
        if state is None or state.version != sources.version:
            return True
        if head_overlays(uploads, [transformation]) != sources.overlays:
            return True
        is_cropped = uses_focus([transformation])
        return is_cropped and self.repository.focus(key, sources.version) != sources.focus

    def _evict(self, ref: RenditionRef, record: Record | None) -> None:
        """Delete the oldest on-demand renditions of the original, so that ``ref`` fits."""
        if self.known_room is not None and self.known_room.take(ref.key):
            return
        declared = {rendition.key for rendition in record.renditions} if record else set()
        stored = list_renditions(self.repository.processed, ref.key)
        lazy = self.lazy_for(ref.key)
        undeclared = [entry for entry in stored if entry.key not in declared and entry.key not in lazy]
        evicted = select_evictions(undeclared, ref.stored_key, self.max_renditions)
        for entry in evicted:
            self.repository.processed.delete(entry.key)
        if self.known_room is not None:
            others = sum(is_on_demand(entry.key) and entry.key != ref.stored_key for entry in undeclared)
            self.known_room.set(ref.key, self.max_renditions - 1 - (others - len(evicted)))


def select_evictions(stored: Sequence[Entry], new_key: str, max_renditions: int) -> Sequence[Entry]:
    """The oldest on-demand renditions that have to go, so that with ``new_key`` at most ``max_renditions``
    remain."""
    others = [entry for entry in stored if is_on_demand(entry.key) and entry.key != new_key]
    others.sort(key=lambda entry: entry.modified)
    return others[: max(0, len(others) + 1 - max_renditions)]
