"""Catalogs: a Record as a flat row of text and whole numbers, and back, exactly.

What is filtered or compared has a column of its own; facts and renditions are JSON. Any
catalog whose backend holds text and integers can use it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import to_builtins

from image_processor.domain.errors import Reason
from image_processor.domain.models import ImageMetadata, Record, Rendition, Status, VisualSummary

Row = dict[str, str | int | None]

COLUMNS = (
    "id",
    "bucket",
    "key",
    "created_at",
    "updated_at",
    "status",
    "version",
    "sequencer",
    "fingerprint",
    "reason",
    "message",
    "original",
    "look",
    "renditions",
    "revision",
    "exif",
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def new_token() -> str:
    """A claim's token: as unlike any other as uuid4's, without the module, which takes a millisecond
    of a cold start to load."""
    return os.urandom(16).hex()


def to_ticks(moment: datetime) -> int:
    """Microseconds since 1970: exact, and ordered as the moments are. ``moment`` has a zone."""
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(ticks: int) -> datetime:
    return _EPOCH + ticks * _MICROSECOND


def to_row(record: Record) -> Row:
    """The columns of a record."""
    return {
        "id": record.id,
        "bucket": record.bucket,
        "key": record.key,
        "created_at": to_ticks(record.created_at),
        "updated_at": to_ticks(record.updated_at),
        "status": record.status.value,
        "version": record.version,
        "sequencer": record.sequencer,
        "fingerprint": record.fingerprint,
        "reason": record.reason.value if record.reason else None,
        "message": record.message,
        "original": _to_json(record.original and to_builtins(record.original)),
        "look": _to_json(record.summary and to_builtins(record.summary)),
        "renditions": _to_json([to_builtins(rendition) for rendition in record.renditions]),
        "revision": record.revision,
        "exif": _to_json(dict(record.exif) or None),
    }


def to_record(row: Mapping[str, Any]) -> Record:
    """The record of a row; columns that are no part of a record are left alone."""
    original, look = _from_json(row["original"]), _from_json(row["look"])
    return Record(
        id=row["id"],
        bucket=row["bucket"],
        key=row["key"],
        created_at=to_moment(row["created_at"]),
        updated_at=to_moment(row["updated_at"]),
        status=Status(row["status"]),
        version=row["version"],
        sequencer=row["sequencer"],
        fingerprint=row["fingerprint"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        message=row["message"],
        original=ImageMetadata(**original) if original else None,
        summary=VisualSummary(**look) if look else None,
        renditions=tuple(_to_rendition(fields) for fields in _from_json(row["renditions"])),
        revision=row["revision"],
        # A row of an earlier version has no such column.
        exif=tuple((_from_json(row.get("exif")) or {}).items()),
    )


def _to_rendition(fields: dict[str, Any]) -> Rendition:
    # The stored name of the metadata is "facts".
    metadata = ImageMetadata(**fields["facts"])
    return Rendition(fields["key"], fields["transformation"], metadata, fields["version"])


def _to_json(value: object) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _from_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
