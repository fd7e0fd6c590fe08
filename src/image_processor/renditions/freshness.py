"""Reads the processed store: which renditions of an original are stored, and which are stale.

A rendition made on demand, or at the first view of a lazy preset, carries the fingerprint of its sources
(the original, the overlay images, the version of the rendering) in its object metadata. It is fresh while
the fingerprint of the current sources is the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_processor.domain.errors import NotFound, Reason
from image_processor.domain.hashing import sha256_hex
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import Focus, IccPolicy
from image_processor.domain.ports import Entry, ObjectStore
from image_processor.domain.transformation import (
    ON_DEMAND,
    Transformation,
    is_rendition_name,
    named,
)

from .focus import uses_focus
from .originals import OverlayVersions, head_overlays

RENDERING_VERSION = 3
"""Increase it when the engine makes other pixels from the same transformation. All renditions made
with a lower number are then stale, and reconcile makes them again. If only some originals are affected,
increase CORRECTIONS instead.

Do not increase it for a new field of ImageMetadata or VisualSummary: it is the operator's decision
to decode a whole library again. Records get new fields when they are next processed."""

CORRECTIONS = 1
"""Counts the releases that correct the pixels of some originals. Only these are stale then: `is_corrected`
describes those of the last correction, and REFUSALS_TO_RETRY what it may accept that was refused before."""

_CORRECTED = frozenset({"avif", "heic", "gif", "tiff", "svg"})
"""The formats whose pixels the last correction changes. It was about colour spaces given by numbers,
premultiplied alpha and alpha with another orientation (AVIF, HEIC), parts of the canvas that no frame covers
(GIF), the choice of the main page (TIFF), and drawn sizes (SVG)."""

REFUSALS_TO_RETRY = frozenset({
    Reason.TRUNCATED, Reason.CORRUPT, Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED_FORMAT, Reason.TOO_MANY_PIXELS,
    Reason.REGION_OUTSIDE,
})  # fmt: skip


def is_corrected(format_: str | None, *, alpha: bool) -> bool:
    """Whether the last of CORRECTIONS may give the renditions of an original in this format other pixels. Of
    PNG and JPEG only rare files are affected, which records do not distinguish from others."""
    return format_ in _CORRECTED or (format_ == "webp" and alpha)


SOURCE_FINGERPRINT = "made"
"""Metadata key: the fingerprint of all sources of a rendition."""

BASE_FINGERPRINT = "base"
"""Metadata key: the fingerprint without overlay images, and with the focus of the original, used or not. It
decides for renditions whose name is a digest, because such a name does not say which of them they have."""


def list_renditions(processed: ObjectStore, key: str) -> list[Entry]:
    """The stored renditions of the original ``key``, without any other objects under its prefix."""
    prefix = rendition_prefix(key)
    entries = processed.list(prefix, direct=True)
    return [entry for entry in entries if is_rendition_name(entry.key.removeprefix(prefix))]


def is_on_demand(key: str) -> bool:
    """Whether the rendition ``key`` was made for a request and not because the recipe declares it."""
    return key.rpartition("/")[2].startswith(ON_DEMAND)


def fingerprint_metadata(
    version: str,
    icc: IccPolicy,
    overlays: OverlayVersions,
    focus: Focus | None = None,
    *,
    has_focus: bool = False,
) -> dict[str, str]:
    """Both fingerprints of a rendition of the original in ``version``, as object metadata. ``focus`` is that
    of this version; ``has_focus``: the rendition is cropped around it."""
    return {
        SOURCE_FINGERPRINT: source_fingerprint(version, icc, overlays, focus if has_focus else None),
        BASE_FINGERPRINT: source_fingerprint(version, icc, {}, focus),
    }


def source_fingerprint(
    version: str, icc: IccPolicy, overlays: OverlayVersions, focus: Focus | None = None
) -> str:
    """32 hex digits for a rendition of the original in ``version`` with these overlay images and focus."""
    # Stored renditions carry the digest of exactly these lines. Of one rendition the keys of overlays are
    # always the same, and versions have no line feed, so no two states of its sources have one digest.
    lines = [f"rendering={RENDERING_VERSION}", f"icc={icc}", f"original={version}"]
    lines += [f"focus={focus}"] if focus is not None else []
    lines += [f"mark={key}@{overlay_version}" for key, overlay_version in sorted(overlays.items())]
    return sha256_hex("\n".join(lines).encode())[:32]


def is_stale(  # noqa: PLR0913 - all that a rendition depends on
    stored_key: str,
    version: str,
    uploads: ObjectStore,
    processed: ObjectStore,
    icc: IccPolicy,
    cache_control: str | None = None,
    transformation: Transformation | None = None,
    *,
    focus: Focus | None = None,
) -> bool:
    """Whether the on-demand rendition ``stored_key`` was made from other sources than the current ones, or
    has another header than ``cache_control``. False if it is not stored. The sources are the original in
    ``version`` with its ``focus``, its overlay images, and the rendering. ``transformation`` is that of a
    lazy preset; otherwise it is read from the name, unless that is a digest."""
    try:
        attributes = processed.head(stored_key).attributes
    except NotFound:
        return False
    if cache_control is not None and attributes.cache_control != cache_control:
        return True
    metadata = attributes.metadata
    transformation = transformation or named(stored_key.rpartition("/")[2])
    if transformation is None:
        return metadata.get(BASE_FINGERPRINT) != source_fingerprint(version, icc, {}, focus)
    overlays = head_overlays(uploads, [transformation])
    used = focus if uses_focus([transformation]) else None
    return metadata.get(SOURCE_FINGERPRINT) != source_fingerprint(version, icc, overlays, used)


def filter_fresh(
    stored: Iterable[Entry],
    version: str | None,
    uploads: ObjectStore,
    processed: ObjectStore,
    icc: IccPolicy,
    focus: Focus | None = None,
) -> list[Entry]:
    """The on-demand renditions among ``stored`` that are fresh for the original in ``version``.

    All on-demand renditions if ``version`` is None: the store refuses to show that original.
    """
    on_demand = [entry for entry in stored if is_on_demand(entry.key)]
    if version is None:
        return on_demand
    return [
        entry for entry in on_demand if not is_stale(entry.key, version, uploads, processed, icc, focus=focus)
    ]
