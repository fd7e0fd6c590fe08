"""Ingest, step 7: the event that reports the outcome of work on one original.

docs/events.md describes it for receivers. Its JSON schema, also in the OpenAPI document, is derived from
the types here. No field is ever null: what does not apply is left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from image_processor.domain.errors import Reason
from image_processor.domain.models import Record, Rendition, Status
from image_processor.renditions.freshness import is_on_demand
from image_processor.renditions.urls import public_url

MAX_BYTES = 100_000
"""The most bytes of an event. A longer one is sent without its renditions. EventBridge takes 256 KB
("PutEvents event size"), and a DynamoDB item of 400 KB also has the record ("Quotas in Amazon DynamoDB")."""

EventType = Literal["image.processed", "image.refused", "image.deleted"]


class EventRendition(Struct, frozen=True, omit_defaults=True):
    """One stored rendition. `url` is left out if only a signed URL opens it, or if nothing serves it."""

    key: str
    transformation: str
    width: int
    height: int
    format: str
    media_type: str
    bytes: int
    sha256: str
    url: str | UnsetType = UNSET


class EventImage(Struct, frozen=True, omit_defaults=True):
    """The original `key` after the outcome.

    `version` is the version of the original, `revision` counts its outcomes. `reason` and `message` say why
    an original was refused. `processed` is the key of the rendition to show first, left out if every
    rendition needs a signed URL. `renditions` is left out if the event would be too long.
    """

    id: str
    bucket: str
    key: str
    status: Literal["processed", "refused", "deleted"]
    revision: int
    version: str | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    message: str | UnsetType = UNSET
    processed: str | UnsetType = UNSET
    renditions: tuple[EventRendition, ...] | UnsetType = UNSET


class OutcomeEvent(Struct, frozen=True):
    """The outcome of work on one original. Equal `id`: the same event, delivered again."""

    id: str
    type: EventType
    timestamp: datetime
    data: EventImage


def completion_event(
    id_: str, record: Record, revision: int, at: datetime, renditions_url: str | None
) -> OutcomeEvent:
    """The event of a ``record`` that is processed or refused. ``renditions_url`` is the base URL of
    renditions, None if nothing serves them."""
    processed = record.status is Status.PROCESSED
    main = record.processed
    data = EventImage(
        id=record.id,
        bucket=record.bucket,
        key=record.key,
        status="processed" if processed else "refused",
        revision=revision,
        version=record.version or UNSET,
        reason=record.reason or UNSET,
        message=record.message or UNSET,
        processed=main.key if main and not is_on_demand(main.key) else UNSET,
        renditions=tuple(_rendition(item, renditions_url) for item in record.renditions),
    )
    return OutcomeEvent(id_, "image.processed" if processed else "image.refused", at, data)


def deletion_event(id_: str, record: Record, at: datetime, message: str | None) -> OutcomeEvent:
    """The event of a ``record`` that was deleted with its renditions. ``message`` says why, if its original
    still exists."""
    data = EventImage(
        record.id, record.bucket, record.key, "deleted", record.revision, message=message or UNSET
    )
    return OutcomeEvent(id_, "image.deleted", at, data)


def event_json(event: OutcomeEvent) -> str:
    """The JSON of an event, at most MAX_BYTES long."""
    text = msgspec.json.encode(event)
    if len(text) > MAX_BYTES:
        shortened = msgspec.structs.replace(event.data, renditions=UNSET)
        text = msgspec.json.encode(msgspec.structs.replace(event, data=shortened))
    return text.decode()


def _rendition(rendition: Rendition, renditions_url: str | None) -> EventRendition:
    metadata = rendition.metadata
    return EventRendition(
        key=rendition.key,
        transformation=rendition.transformation,
        width=metadata.width,
        height=metadata.height,
        format=metadata.format,
        media_type=metadata.media_type,
        bytes=metadata.bytes,
        sha256=metadata.sha256,
        url=public_url(rendition, renditions_url) or UNSET,
    )
