"""Ingest, step 6: which paths a CDN must invalidate after a change, and when.

A CDN keeps the bytes that it has sent. `process` replaces and deletes renditions first and sends the
invalidation once the record is complete, so what the CDN fetches afterwards is new. Where a crash in between
would leave no trace of the change, the message is in the outbox before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from image_processor.domain.keys import rendition_prefix
from image_processor.domain.models import Lease, Rendition, Status
from image_processor.domain.ports import Entry


def invalidation_prefix(key: str) -> str:
    """The common prefix of the paths of the original ``key`` and of all its renditions."""
    prefix = rendition_prefix(key)
    return key if prefix == f"{key}/" else prefix.rpartition("~")[0]


def needs_invalidation(
    lease: Lease, lease_duration: timedelta, before: Sequence[Entry], after: Iterable[Rendition]
) -> bool:
    """Whether a CDN may hold renditions that are no longer valid.

    ``before`` are the renditions stored when the lease began, ``after`` those that remain. Also true
    if an earlier attempt may have deleted renditions before it was cut short: the record lists
    them, or it existed before this lease and was never completed.
    """
    record = lease.record
    recorded = {rendition.key: rendition for rendition in record.renditions}
    stored = {entry.key: entry.version for entry in before}
    remaining = {rendition.key: rendition for rendition in after}
    if record.status is Status.PROCESSING and record.created_at != lease.expires_at - lease_duration:
        return True
    return any(not _is_unchanged(key, stored, recorded, remaining) for key in stored | recorded)


def has_unrecorded_renditions(lease: Lease, before: Iterable[Entry]) -> bool:
    """Whether ``before`` has renditions that the record does not describe: those of a worker that could not
    complete, or of a view. Once they are overwritten or deleted, the next worker cannot know that a CDN may
    hold them."""
    recorded = {rendition.key: rendition.version for rendition in lease.record.renditions}
    return any(recorded.get(entry.key) != entry.version for entry in before)


def _is_unchanged(
    key: str,
    stored: Mapping[str, str],
    recorded: Mapping[str, Rendition],
    remaining: Mapping[str, Rendition],
) -> bool:
    """Whether the record described the stored bytes under ``key``, and they are still the same."""
    if key not in stored or key not in recorded or key not in remaining:
        return False
    same_version = stored[key] == recorded[key].version
    return same_version and recorded[key].metadata.sha256 == remaining[key].metadata.sha256
