"""Whether a rendition on demand is of the past: of another original, overlay or rendering than there
is now. Delivery sends none of them, but a CDN that reads the bucket would.
"""

from __future__ import annotations

from collections.abc import Iterable

from image_processor.domain.errors import NotFound
from image_processor.domain.models import IccPolicy
from image_processor.domain.ports import Entry, ObjectStore
from image_processor.domain.transformation import named

from .fingerprint import BASE, MADE, stamp
from .overlay_sources import versions_of
from .stored import is_on_demand


def is_past(
    stored_key: str, version: str, uploads: ObjectStore, processed: ObjectStore, icc: IccPolicy
) -> bool:
    """What lies under ``stored_key``, where ``version`` is the original's as it is now."""
    try:
        metadata = processed.head(stored_key).attributes.metadata
    except NotFound:
        return False
    transformation = named(stored_key.rpartition("/")[2])
    if transformation is None:
        return metadata.get(BASE) != stamp(version, icc, {})
    marks = versions_of(uploads, [transformation])
    return metadata.get(MADE) != stamp(version, icc, marks)


def still_right(
    stored: Iterable[Entry],
    version: str | None,
    uploads: ObjectStore,
    processed: ObjectStore,
    icc: IccPolicy,
) -> list[Entry]:
    """The renditions on demand among ``stored`` that are of this ``version``; all of them where it is None:
    an original that cannot be looked at tells nothing."""
    made = [entry for entry in stored if is_on_demand(entry.key)]
    if version is None:
        return made
    return [entry for entry in made if not is_past(entry.key, version, uploads, processed, icc)]
