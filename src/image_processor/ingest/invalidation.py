"""Beside the last step of ingest: what a CDN must forget of an image, and when.

A CDN keeps what it has sent. Whoever wrote other bytes under a rendition's name, or took it away,
tells it before the record says that all is done: a purge that failed comes again with the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

from image_processor.domain.hashing import sha256_hex
from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import Lease, Record, Rendition, Status
from image_processor.domain.ports import Entry

Invalidate = Callable[[str, str], None]
"""Forget every path that begins so (no percent-encoding, no first slash). The second text names the
change: the same for each try, another for each change. Raises Unavailable."""


def no_invalidation(beginning: str, change: str) -> None:
    """The purge of who has no CDN."""


def invalidation_prefix(key: str) -> str:
    """What the paths of an original and all its renditions begin with."""
    prefix = rendition_prefix(key)
    return key if prefix == f"{key}/" else prefix.rpartition("~")[0]


def change_id(record: Record) -> str:
    """32 hex digits for what is about to become of the image: ``record`` is as it was claimed, but with
    the version and the sequencer of the original that work was done for."""
    told = (record.id, record.created_at, record.revision, record.version, record.sequencer)
    return sha256_hex(repr(told).encode())[:32]


def needs_invalidation(
    claim: Lease, lease: timedelta, before: Sequence[Entry], now: Iterable[Rendition]
) -> bool:
    """Whether something may be kept somewhere that is not so any more, where ``before`` was stored when
    the claim began and ``now`` is what is left.

    Work that was cut short may have swept, too: its traces are the record's renditions, or that the
    record was there before this claim and was never completed.
    """
    record = claim.record
    recorded = {one.key: one for one in record.renditions}
    stored = {entry.key: entry.version for entry in before}
    left = {one.key: one for one in now}
    if record.status is Status.PROCESSING and record.created_at != claim.expires_at - lease:
        return True
    return any(not _is_same(key, stored, recorded, left) for key in stored | recorded)


def _is_same(
    key: str, stored: Mapping[str, str], recorded: Mapping[str, Rendition], left: Mapping[str, Rendition]
) -> bool:
    """Whether the bytes under ``key`` were on record as they lay there, and are still the same."""
    if key not in stored or key not in recorded or key not in left:
        return False
    return stored[key] == recorded[key].version and recorded[key].metadata.sha256 == left[key].metadata.sha256
