"""Ingest over fakes: stores in memory, a renderer without pixels, a clock that tests set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from image_processor.catalog.sqlite import SqliteCatalog
from image_processor.config.recipe import Recipe, parse_recipe
from image_processor.domain.errors import Reason, Refused
from image_processor.domain.keys import image_id, rendition_prefix
from image_processor.domain.models import (
    ExifField,
    IccPolicy,
    ImageMetadata,
    KeepSmaller,
    Limits,
    MessageKind,
    Record,
    Rendered,
    RenderedImage,
    Upload,
    VisualSummary,
)
from image_processor.domain.ports import Attributes, OriginalFile
from image_processor.domain.transformation import Transformation
from image_processor.ingest.merging_reconcile import MergingReconciler
from image_processor.ingest.outbox import Outbox
from image_processor.ingest.process import Processor

from .memory_store import MemoryStore

BUCKET = "uploads"
RECIPE = parse_recipe("""
[presets.small]
widths = [10, 20]
formats = ["webp", "jpeg"]
[[rules]]
match = "ignored/**"
presets = []
[[rules]]
match = "**"
presets = ["small"]
""")
OTHER_RECIPE = parse_recipe("""
[presets.other]
width = 30
formats = ["png"]
[[rules]]
match = "**"
presets = ["other"]
""")


def rendition_bytes(original: bytes, transformation: Transformation) -> bytes:
    """The output of the fake renderer: different bytes for every original and transformation."""
    return b"%s of %s" % (str(transformation).encode(), original)


def fake_render(
    data: bytes | OriginalFile,
    transformations: Sequence[Transformation],
    limits: Limits,
    *,
    icc: IccPolicy,
    summary: bool = True,  # noqa: ARG001 - as the engine's own
    exif: Collection[ExifField] = (),
    overlay_sources: Mapping[str, bytes] | None = None,  # noqa: ARG001 - as the engine's own
    on_rendition: Callable[[RenderedImage], None] = lambda _: None,
) -> Rendered:
    """A Renderer. Refuses originals that start with `bad`, and `big N` if N is over the pixel limit; those
    that start with `half` are truncated; those that start with `small` are kept by `keep_smaller`."""
    if isinstance(data, OriginalFile):
        data = os.pread(data.descriptor, len(data), 0)
    if data.startswith(b"bad"):
        raise Refused(Reason.NOT_AN_IMAGE, f"expected an image, got {icc} bytes that start with bad")
    if data.startswith(b"big ") and int(data[4:]) > limits.max_pixels:
        raise Refused(Reason.TOO_MANY_PIXELS, f"expected at most {limits.max_pixels} pixels, got more")
    bodies = [(item, rendition_bytes(data, item)) for item in transformations]
    kept = KeepSmaller.KEPT if data.startswith(b"small") else None
    images = tuple(
        RenderedImage(item, body, replace(_metadata(body, item.format), keep_smaller=kept))
        for item, body in bodies
    )
    for image in images:
        on_rendition(image)
    return Rendered(
        replace(_metadata(data, "jpeg"), truncated=data.startswith(b"half ")),
        VisualSummary("#102030", "aGFzaA==", "0123456789abcdef"),
        images,
        tuple((field.value, f"{field} of {len(data)} bytes") for field in exif),
    )


def _metadata(body: bytes, format_: str) -> ImageMetadata:
    return ImageMetadata(8, 6, format_, 1, False, len(body), hashlib.sha256(body).hexdigest())


class RecordingStore:
    """A store that records the names of its called methods."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            return getattr(self._store, name)(*args, **kwargs)

        return call


@dataclass
class IngestFixture:
    """Stores, catalog and clock, and processors over them. Tests wrap or replace single parts."""

    uploads: Any = field(default_factory=MemoryStore)
    processed: Any = field(default_factory=MemoryStore)
    catalog: Any = field(default_factory=lambda: SqliteCatalog(":memory:"))
    recipe: Recipe = RECIPE
    limits: Limits = field(default_factory=Limits)
    icc: IccPolicy = IccPolicy.STRIP
    cache_control: str = "public, max-age=60"
    exif: tuple[ExifField, ...] = ()
    render: Any = fake_render
    outbox: Outbox = field(default_factory=Outbox)
    deletion_limit: int = 50
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def processor(self, owner: str = "worker") -> Processor:
        return Processor(
            bucket=BUCKET,
            uploads=self.uploads,
            processed=self.processed,
            catalog=self.catalog,
            recipe=self.recipe,
            limits=self.limits,
            icc=self.icc,
            exif=self.exif,
            render=self.render,
            cache_control=self.cache_control,
            owner=owner,
            lease_duration=timedelta(seconds=60),
            clock=lambda: self.now,
            outbox=self.outbox,
        )

    def reconciler(self) -> MergingReconciler:
        return MergingReconciler(
            *(BUCKET, self.uploads, self.processed, self.catalog, self.recipe),
            *(self.limits, self.icc, self.cache_control, self.exif),
            outboxes=True,
            deletion_limit=self.deletion_limit,
            invalidate=self.outbox.senders.get(MessageKind.INVALIDATION),
        )

    def advance(self, seconds: float = 61) -> None:
        """Advance the clock, by default past the end of every lease."""
        self.now += timedelta(seconds=seconds)

    def put(self, key: str, body: bytes) -> None:
        self.uploads.put(key, body, Attributes())

    def record(self, key: str) -> Record | None:
        record: Record | None = self.catalog.get(image_id(BUCKET, key))
        return record

    def expected(self) -> dict[str, bytes]:
        """All renditions, by key, that the originals and the recipe call for at upload."""
        return {
            rendition_prefix(key) + self.recipe.stored_name(key, item): rendition_bytes(body, item)
            for key, body in self.uploads.bodies().items()
            if not body.startswith(b"bad")
            for item in self.recipe.eager_for(key)
        }

    def assert_converged(self) -> None:
        """Stores, records and recipe agree, and reconcile finds no work."""
        assert self.processed.bodies() == self.expected()
        assert list(self.reconciler().findings()) == []


def upload(key: str, **more: Any) -> Upload:
    return Upload(BUCKET, key, **more)
