"""Looks at the two stores: the original as it is, and the renditions that lie there."""

from __future__ import annotations

from msgspec import Struct

from image_processor.domain.errors import NotFound, Refused
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.ports import Entry, ObjectStore
from image_processor.domain.transformation import ON_DEMAND, is_rendition_name


class Sight(Struct, frozen=True):
    """An original as the upload store shows it: its version, or why it cannot even be looked at."""

    version: str | None
    refusal: Refused | None = None


def look_at(uploads: ObjectStore, key: str) -> Sight | None:
    """The original as it is now; None if there is none."""
    try:
        return Sight(uploads.head(key).entry.version)
    except NotFound:
        return None
    except Refused as refusal:
        return Sight(None, refusal)


def renditions_of(processed: ObjectStore, key: str) -> list[Entry]:
    """The renditions of ``key`` that are stored. What somebody else put there is left out."""
    prefix = rendition_prefix(key)
    entries = processed.list(prefix, direct=True)
    return [entry for entry in entries if is_rendition_name(entry.key.removeprefix(prefix))]


def is_on_demand(key: str) -> bool:
    """Whether the rendition under ``key`` was made because somebody asked for it."""
    return key.rpartition("/")[2].startswith(ON_DEMAND)
