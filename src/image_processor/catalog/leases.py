"""Catalogs: what every adapter decides in the same way about leases and the records under them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from image_processor.domain.errors import Invalid, LeaseBusy, LeaseLost, NotFound
from image_processor.domain.keys import image_id
from image_processor.domain.models import Lease, OutboxMessage, Record, Upload

from .rows import merge_messages


def new_token() -> str:
    """A random token for a lease: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def new_record(upload: Upload, now: datetime) -> Record:
    """The PROCESSING record that the first lease on a key creates."""
    id_ = image_id(upload.bucket, upload.key)
    return Record(id=id_, bucket=upload.bucket, key=upload.key, created_at=now, updated_at=now)


def extended(lease: Lease, expires_at: datetime, messages: Sequence[OutboxMessage]) -> Lease:
    """``lease`` until ``expires_at``, after ``messages`` were added to the outbox."""
    return replace(lease, expires_at=expires_at, unsent=merge_messages(lease.unsent, messages))


def check_is_leased(lease: Lease, record: Record) -> None:
    """Raise Invalid unless ``record`` is the one that ``lease`` is for."""
    if record.id != lease.image_id:
        raise Invalid.one("record", f"the record {lease.image_id} of the lease", record.id)


def completed(lease: Lease, stored: Record, record: Record) -> Record:
    """The record to store when ``lease`` completes with ``record`` over the ``stored`` one. Raises
    LeaseLost if the stored record has seen a later event."""
    if stored.sequencer is not None and record.sequencer is not None and stored.sequencer > record.sequencer:
        raise LeaseLost(f"{lease.owner} worked on an older event of {stored.key!r} than the record's")
    return replace(
        record,
        bucket=stored.bucket,
        key=stored.key,
        created_at=stored.created_at,
        focus=stored.focus,
        sequencer=stored.sequencer if record.sequencer is None else record.sequencer,
        revision=stored.revision + 1,
    )


def no_record(image_id: str) -> NotFound:
    """The error for a change of a record that does not exist."""
    return NotFound(f"no image has the id {image_id!r}")


def lease_busy(upload: Upload) -> LeaseBusy:
    """The error for a key whose lease is held by another worker."""
    return LeaseBusy(f"another worker holds the lease on {upload.key!r}")


def lease_lost(lease: Lease) -> LeaseLost:
    """The error for a lease that is not current any more."""
    return LeaseLost(f"{lease.owner} no longer holds the lease on {lease.record.key!r}")
