"""The pictures that overlays lay on renditions: objects of the upload store like any original. Their
versions are part of the plan, so that a new logo makes old renditions stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from image_processor.domain.errors import NotFound, Refused
from image_processor.domain.ports import ObjectStore
from image_processor.domain.transformation import ImageOverlay, Transformation

from .stored import look_at

Versions = Mapping[str, str | None]
"""The version of each picture that overlays name, by its key; None where there is none."""


def marks_in(transformations: Iterable[Transformation]) -> Iterator[str]:
    """The keys of the pictures that overlays name."""
    for transformation in transformations:
        for overlay in transformation.overlays:
            if isinstance(overlay, ImageOverlay):
                yield overlay.image


def versions_of(uploads: ObjectStore, transformations: Iterable[Transformation]) -> Versions:
    """How the marks are now: one look for each, so none where no overlay is a picture."""
    sights = {key: look_at(uploads, key) for key in sorted(set(marks_in(transformations)))}
    return {key: sight.version if sight else None for key, sight in sights.items()}


def read_marks(uploads: ObjectStore, versions: Versions, limit: int) -> dict[str, bytes]:
    """The bytes of the marks that are there, as ``versions`` saw them.

    A missing one is left out: the engine says which. Raises PreconditionFailed where one is another
    by now, Refused where one has more than ``limit`` bytes.
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
