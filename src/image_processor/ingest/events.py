"""Ingest, step 1: turns Lambda events into `Upload`s. Pure.

Accepts S3 notifications directly, in SQS, in SNS (also inside SQS), EventBridge events, tasks of S3
Batch Operations, and messages of reconcile. Content that cannot be read is no error but a reason to
log: an event is only a hint, and a message that always fails would block its queue until it is a dead
letter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from image_processor.domain.errors import InvalidKey
from image_processor.domain.keys import check_key, percent_decode
from image_processor.domain.models import Upload, UploadKind
from image_processor.domain.redaction import printable

_ESCAPED = re.compile("[+%]")
_MAX_DEPTH = 4
"""SQS in SNS in SQS is unusual; deeper nesting is no notification."""


class Message(Struct, frozen=True):
    """One unit of delivery: an SQS message, a Batch Operations task, or else the whole event.

    ``id`` is set if the source expects a result per unit. ``ignored`` are the reasons why parts of it
    are no uploads. ``receives`` is how often it was received, including this time; 1 if unknown.
    """

    id: str | None
    uploads: tuple[Upload, ...] = ()
    ignored: tuple[str, ...] = ()
    receives: int = 1


def read_messages(event: object) -> tuple[Message, ...]:
    """The messages of a Lambda event, in order. Never raises, whatever the event is."""
    if isinstance(event, dict) and isinstance(event.get("tasks"), list):
        return tuple(_task(task) for task in event["tasks"])
    records = event.get("Records") if isinstance(event, dict) else None
    if isinstance(records, list) and records and all(_is_sqs(record) for record in records):
        return tuple(
            _message(record["messageId"], _load(record.get("body")), _receives(record)) for record in records
        )
    return (_message(None, event),)


def message_body(upload: Upload) -> str:
    """The message that `read_messages` reads as this upload of reconciliation, in ASCII, as SQS takes any."""
    reprocess = {"reprocess": True} if upload.kind is UploadKind.REPROCESS else {}
    return json.dumps({"bucket": upload.bucket, "key": upload.key, **reprocess})


def _is_sqs(record: object) -> bool:
    return (
        isinstance(record, dict)
        and record.get("eventSource") == "aws:sqs"
        and isinstance(record.get("messageId"), str)
    )


def _receives(record: dict[str, Any]) -> int:
    attributes = record.get("attributes")
    count = attributes.get("ApproximateReceiveCount") if isinstance(attributes, dict) else None
    return int(count) if isinstance(count, str) and re.fullmatch("[0-9]{1,9}", count) else 1


def _message(id_: str | None, content: object, receives: int = 1) -> Message:
    uploads: list[Upload] = []
    ignored: list[str] = []
    for item in _uploads(content, _MAX_DEPTH):
        if isinstance(item, Upload):
            uploads.append(item)
        else:
            ignored.append(item)
    return Message(id_, tuple(uploads), tuple(ignored), receives)


def _task(task: object) -> Message:
    """A task of S3 Batch Operations. Its key is URL-encoded, as in a notification."""
    if not isinstance(task, dict) or not isinstance(task.get("taskId"), str):
        return Message(None, ignored=("expected a task with a taskId",))
    bucket = task.get("s3Bucket") or str(task.get("s3BucketArn", "")).rpartition(":")[2]
    upload = _upload(bucket, _decoded(task.get("s3Key")), UploadKind.RECONCILE, task.get("s3VersionId"), None)
    if isinstance(upload, Upload):
        return Message(task["taskId"], (upload,))
    return Message(task["taskId"], ignored=(upload,))


def _uploads(content: object, depth: int) -> Iterator[Upload | str]:
    """The uploads in ``content``, and a reason (a string) for each part that is none."""
    if not isinstance(content, dict) or not depth:
        yield f"expected a notification, got {type(content).__name__}"
    elif content.get("Event") == "s3:TestEvent":
        yield "s3:TestEvent"
    elif "detail-type" in content:
        yield _event_bridge(content)
    elif content.get("Type") == "Notification" and "Message" in content:
        yield from _uploads(_load(content["Message"]), depth - 1)
    elif isinstance(content.get("Records"), list):
        for record in content["Records"]:
            yield from _record(record, depth - 1)
    elif "key" in content:
        kind = UploadKind.REPROCESS if content.get("reprocess") is True else UploadKind.RECONCILE
        yield _upload(content.get("bucket"), content["key"], kind, None, None)
    else:
        yield "expected a notification, got an object of another kind"


def _record(record: object, depth: int) -> Iterator[Upload | str]:
    if not isinstance(record, dict):
        yield f"expected a record, got {type(record).__name__}"
    elif isinstance(record.get("s3"), dict):
        yield _notification(record)
    elif isinstance(record.get("Sns"), dict):
        yield from _uploads(_load(record["Sns"].get("Message")), depth)
    elif record.get("eventSource") == "aws:sqs":
        yield from _uploads(_load(record.get("body")), depth)
    else:
        yield "expected a record of S3, SNS or SQS, got another"


# Event names as in "Supported event types for SQS, SNS, and Lambda"; notifications carry them
# without the leading `s3:`, other carriers with it.
_KINDS = {
    "ObjectCreated": UploadKind.CREATED,
    "ObjectRestore": UploadKind.CREATED,
    "ObjectRemoved": UploadKind.DELETED,
    "LifecycleExpiration": UploadKind.DELETED,
}


def _notification(record: dict[str, Any]) -> Upload | str:
    name = str(record.get("eventName", "")).removeprefix("s3:")
    kind = _KINDS.get(name.partition(":")[0])
    if kind is None or name == "ObjectRestore:Post":
        return _no_change(name)
    bucket, object_ = record["s3"].get("bucket"), record["s3"].get("object")
    if not isinstance(bucket, dict) or not isinstance(object_, dict):
        return "expected a bucket and an object in the record"
    return _upload(
        bucket.get("name"),
        _decoded(object_.get("key")),
        kind,
        object_.get("versionId"),
        object_.get("sequencer"),
    )


def _no_change(name: str) -> str:
    return f"an event that changes no image: {printable(name[:64])}"


_DETAIL_KINDS = {
    "Object Created": UploadKind.CREATED,
    "Object Restore Completed": UploadKind.CREATED,
    "Object Deleted": UploadKind.DELETED,
}


def _event_bridge(content: dict[str, Any]) -> Upload | str:
    """Keys in EventBridge events are not URL-encoded ("EventBridge event message structure")."""
    kind = _DETAIL_KINDS.get(str(content["detail-type"]))
    if kind is None:
        return _no_change(str(content["detail-type"]))
    detail = content.get("detail")
    bucket, object_ = (
        (detail.get("bucket"), detail.get("object")) if isinstance(detail, dict) else (None, None)
    )
    if not isinstance(bucket, dict) or not isinstance(object_, dict):
        return "expected a bucket and an object in the detail"
    return _upload(
        bucket.get("name"), object_.get("key"), kind, object_.get("version-id"), object_.get("sequencer")
    )


def _upload(
    bucket: object, key: object, kind: UploadKind, version: object, sequencer: object
) -> Upload | str:
    if not isinstance(bucket, str) or not bucket or not isinstance(key, str):
        return "expected the names of a bucket and a key"
    try:
        check_key(key)
    except InvalidKey as error:
        return str(error)
    return Upload(bucket, key, kind, _text(version), _sequencer(sequencer))


def _sequencer(raw: object) -> str | None:
    text = _text(raw)
    if text is None or len(text) > 32 or not all(digit in "0123456789abcdefABCDEF" for digit in text):
        return None
    return text


def _text(raw: object) -> str | None:
    return raw if isinstance(raw, str) and raw else None


def _decoded(key: object) -> object:
    if not isinstance(key, str) or not _ESCAPED.search(key):
        return key
    return percent_decode(key, plus=True, errors="surrogateescape")


def _load(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
