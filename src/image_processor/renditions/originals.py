"""Reads the upload store: the current state of one original, and the images that overlays refer to.

Overlay images are objects of the upload store like any original. Their versions are part of the
plan and of the source fingerprint, so a new logo makes the renditions that carry it stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from image_processor.domain.errors import NotFound, Refused, Unreadable
from image_processor.domain.ports import ObjectStore, OpenOriginal, Original
from image_processor.domain.transformation import ImageOverlay, Transformation

OverlayVersions = Mapping[str, str | None]
"""The version of each overlay image by its key; None if there is no such object."""


class OriginalState(Struct, frozen=True):
    """An original that exists: its version, or the refusal that the store answered instead of one (for
    example for a symbolic link that leads out of the root). Of an unreadable original the store may give
    both."""

    version: str | None
    refusal: Refused | None = None

    @property
    def is_unreadable(self) -> bool:
        """Whether the store denies reading it, which another permission can end."""
        return isinstance(self.refusal, Unreadable)

    def may_have_version(self, version: str | None) -> bool:
        """Whether it has ``version``, or its version is unknown because it is unreadable."""
        return self.version == version or (self.version is None and self.is_unreadable)


def head_original(uploads: ObjectStore, key: str) -> OriginalState | None:
    """The current state of the original ``key`` (one HEAD request); None if it does not exist."""
    try:
        return OriginalState(uploads.head(key).entry.version)
    except NotFound:
        return None
    except Unreadable as refusal:
        return OriginalState(refusal.version, refusal)
    except Refused as refusal:
        return OriginalState(None, refusal)


def read_original(
    uploads: ObjectStore,
    key: str,
    *,
    limit: int,
    version: str | None = None,
    open_original: OpenOriginal | None = None,
) -> Original:
    """The original ``key``: as a file where ``open_original`` is given, else its bytes. Raises as
    `ObjectStore.get`."""
    if open_original is not None:
        return open_original(key, limit=limit, version=version)
    stored = uploads.get(key, limit=limit, version=version)
    return Original(stored.entry, stored.body)


def read_denial(uploads: ObjectStore, keys: Iterable[str]) -> Unreadable | None:
    """Why the first of the objects ``keys`` that cannot be read is denied. None if all can be read, or do not
    exist.

    Reads a byte of each: S3 answers HEAD for an archived object, and refuses GET.
    """
    for key in keys:
        try:
            for _ in uploads.read(key, 0, 1):
                pass
        except Unreadable as denial:
            return denial
        except (NotFound, Refused):
            continue
    return None


def overlay_keys(transformations: Iterable[Transformation]) -> Iterator[str]:
    """The keys of all images that the overlays of ``transformations`` refer to, with repetitions."""
    for transformation in transformations:
        in_steps = (step.overlay for step in transformation.steps)
        for overlay in (*transformation.overlays, *in_steps):
            if isinstance(overlay, ImageOverlay):
                yield overlay.image


def head_overlays(uploads: ObjectStore, transformations: Iterable[Transformation]) -> OverlayVersions:
    """The current versions of all overlay images: one HEAD request for each distinct key.

    Raises Unreadable if the version of one is not known: it must not count as missing.
    """
    states = {key: head_original(uploads, key) for key in sorted(set(overlay_keys(transformations)))}
    for state in states.values():
        if state is not None and state.is_unreadable and state.version is None:
            assert state.refusal is not None
            raise state.refusal
    return {key: state.version if state else None for key, state in states.items()}


def read_overlays(uploads: ObjectStore, versions: OverlayVersions, limit: int) -> dict[str, bytes]:
    """The bytes of the overlay images in exactly these ``versions``, by key.

    Leaves out images that do not exist; the engine refuses the render and names them. Raises
    PreconditionFailed if an image has another version by now, Refused if one has more than ``limit``
    bytes, and Unreadable.
    """
    bodies: dict[str, bytes] = {}
    for key, version in versions.items():
        if version is None:
            continue
        try:
            bodies[key] = uploads.get(key, limit=limit, version=version).body
        except NotFound:
            continue
        except Unreadable as denial:
            raise Unreadable(f"{denial.message} for an overlay", denial.version) from denial
        except Refused as refusal:
            raise Refused(refusal.reason, f"{refusal.message} in the overlay {key!r}") from refusal
    return bodies
