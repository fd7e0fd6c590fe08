"""Catalogs: a Record as a flat row of text and integers, and back, exactly.

Fields that are filtered or compared have a column each; image metadata and renditions are JSON
columns. Every catalog whose backend stores text and integers uses these rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from image_processor.domain.errors import Reason
from image_processor.domain.models import (
    Focus,
    ImageMetadata,
    OutboxMessage,
    Record,
    Rendition,
    Status,
    VisualSummary,
)
from image_processor.domain.ports import RecordState

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
    "focus",
)
"""The names of the columns, as stored. `look` holds the field `summary`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_ENCODER = Encoder()


class _Stored(Struct, frozen=True):
    """What identifies the object of a rendition; msgspec passes over the other fields."""

    key: str
    version: str


_METADATA = Decoder(ImageMetadata)
_SUMMARY = Decoder(VisualSummary)
_RENDITIONS = Decoder(tuple[Rendition, ...])
_STORED = Decoder(list[_Stored])
_FOCUS = Decoder(Focus)
_EXIF = Decoder(dict[str, str])
_MESSAGE = Decoder(OutboxMessage)
_log = logging.getLogger(__name__)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970: exact, and ordered as the moments are. ``moment`` has a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The moment, in UTC, that `to_micros` gives ``micros`` for."""
    return _EPOCH + micros * _MICROSECOND


def to_row(record: Record) -> Row:
    """The columns of a record."""
    return {
        "id": record.id,
        "bucket": record.bucket,
        "key": record.key,
        "created_at": to_micros(record.created_at),
        "updated_at": to_micros(record.updated_at),
        "status": record.status.value,
        "version": record.version,
        "sequencer": record.sequencer,
        "fingerprint": record.fingerprint,
        "reason": record.reason.value if record.reason else None,
        "message": record.message,
        "original": _to_json(record.original),
        "look": _to_json(record.summary),
        "renditions": _to_json(record.renditions),
        "revision": record.revision,
        "exif": _to_json(dict(record.exif) or None),
        "focus": to_focus_text(record.focus),
    }


def to_record(row: Mapping[str, Any]) -> Record:
    """The record of a row. Ignores columns that are not in COLUMNS.

    A row that cannot be decoded, damaged or of a later version, is that of an unfinished record: reconcile
    has it processed, which writes it again.
    """
    try:
        return _decoded(row)
    except (ValueError, TypeError) as error:
        _log.warning("the record of %r cannot be decoded and counts as unfinished: %s", row["key"], error)
        created, updated = from_micros(row["created_at"]), from_micros(row["updated_at"])
        identity = (row["id"], row["bucket"], row["key"], created, updated)
        return Record(*identity, sequencer=row["sequencer"], revision=row["revision"])


def _decoded(row: Mapping[str, Any]) -> Record:
    return Record(
        id=row["id"],
        bucket=row["bucket"],
        key=row["key"],
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
        status=Status(row["status"]),
        version=row["version"],
        sequencer=row["sequencer"],
        fingerprint=row["fingerprint"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        message=row["message"],
        original=_METADATA.decode(row["original"]) if row["original"] else None,
        summary=_SUMMARY.decode(row["look"]) if row["look"] else None,
        renditions=_RENDITIONS.decode(row["renditions"]),
        revision=row["revision"],
        # Rows written before these columns existed lack them.
        exif=tuple(_EXIF.decode(row["exif"]).items()) if row.get("exif") else (),
        focus=_FOCUS.decode(row["focus"]) if row.get("focus") else None,
    )


def to_focus_text(focus: Focus | None) -> str | None:
    """The column of a focus; None for none."""
    return _to_json(focus)


def to_state(row: Mapping[str, Any]) -> RecordState:
    """The state of a row, with the format and the alpha of its original as columns. As `to_record`, of a row
    that cannot be decoded that of an unfinished record."""
    try:
        renditions = {item.key: item.version for item in _STORED.decode(row["renditions"])}
        reason = Reason(row["reason"]) if row["reason"] else None
        return RecordState(
            row["key"],
            Status(row["status"]),
            row["version"],
            row["fingerprint"],
            reason,
            renditions,
            row["format"],
            bool(row["alpha"]),
            has_focus=row.get("focus") is not None,
        )
    except (ValueError, TypeError):
        return RecordState(row["key"], Status.PROCESSING, None, None, None, {}, has_focus=False)


def to_message_text(message: OutboxMessage) -> str:
    """A message of an outbox as JSON: the same text for equal messages."""
    return _ENCODER.encode(message).decode()


def to_messages(texts: Iterable[str]) -> tuple[OutboxMessage, ...]:
    """The messages of such texts, the oldest first. Leaves out texts that cannot be decoded."""
    return merge_messages(_decoded_messages(texts))


def _decoded_messages(texts: Iterable[str]) -> Iterator[OutboxMessage]:
    for text in texts:
        try:
            yield _MESSAGE.decode(text)
        except ValueError as error:
            _log.warning("a message of an outbox cannot be decoded and is not sent: %s", error)


def merge_messages(*several: Iterable[OutboxMessage]) -> tuple[OutboxMessage, ...]:
    """All messages, each once, the oldest first."""
    merged = {message for messages in several for message in messages}
    return tuple(sorted(merged, key=lambda message: (message.created_at, message.id, message.kind)))


def _to_json(value: object) -> str | None:
    return None if value is None else _ENCODER.encode(value).decode()
