"""Reads the upload store: the current state of one original, and the images that overlays refer to.

Overlay images are objects of the upload store like any original. Their versions are part of the
plan and of the source fingerprint, so a new logo makes the renditions that carry it stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from image_processor.domain.errors import NotFound, Refused
from image_processor.domain.ports import ObjectStore
from image_processor.domain.transformation import ImageOverlay, Transformation

OverlayVersions = Mapping[str, str | None]
"""The version of each overlay image by its key; None if there is no such object."""


class OriginalState(Struct, frozen=True):
    """An original that exists: its version, or the refusal that the store answered instead of one
    (for example for a symbolic link that leads out of the root)."""

    version: str | None
    refusal: Refused | None = None


def head_original(uploads: ObjectStore, key: str) -> OriginalState | None:
    """The current state of the original ``key`` (one HEAD request); None if it does not exist."""
    try:
        return OriginalState(uploads.head(key).entry.version)
    except NotFound:
        return None
    except Refused as refusal:
        return OriginalState(None, refusal)


def overlay_keys(transformations: Iterable[Transformation]) -> Iterator[str]:
    """The keys of all images that the overlays of ``transformations`` refer to, with repetitions."""
    for transformation in transformations:
        for overlay in transformation.overlays:
            if isinstance(overlay, ImageOverlay):
                yield overlay.image


def head_overlays(uploads: ObjectStore, transformations: Iterable[Transformation]) -> OverlayVersions:
    """The current versions of all overlay images: one HEAD request for each distinct key."""
    states = {key: head_original(uploads, key) for key in sorted(set(overlay_keys(transformations)))}
    return {key: state.version if state else None for key, state in states.items()}


def read_overlays(uploads: ObjectStore, versions: OverlayVersions, limit: int) -> dict[str, bytes]:
    """The bytes of the overlay images in exactly these ``versions``, by key.

    Leaves out images that do not exist; the engine refuses the render and names them. Raises
    PreconditionFailed if an image has another version by now, and Refused if one has more than
    ``limit`` bytes.
    """
    bodies: dict[str, bytes] = {}
    for key, version in versions.items():
        if version is None:
            continue
        try:
            bodies[key] = uploads.get(key, limit=limit, version=version).body
        except NotFound:
            continue
        except Refused as refusal:
            raise Refused(refusal.reason, f"{refusal.message} in the overlay {key!r}") from refusal
    return bodies
