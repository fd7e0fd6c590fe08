"""Ingest, for operators: diagnoses why a message is in the dead-letter queue, and whether a redrive helps.

SQS does not say why a message failed. The diagnosis derives it from what the stores and the catalog
hold now, which is what another try would meet.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Status, Upload, UploadKind

from .drift import Drift, KeyState
from .events import Message, read_messages


class FailureReason(StrEnum):
    """Why a message, or one upload in it, is a dead letter.

    Ordered: a message with several uploads has the first of their reasons."""

    UNFINISHED = "unfinished"
    """Work is left that failed before. A redrive helps once the cause is fixed."""
    UNKNOWN = "unknown"
    """The buckets are not configured or do not answer. A redrive is harmless."""
    REFUSED = "refused"
    """The record says refused, for this version and these limits. A redrive changes nothing."""
    SETTLED = "settled"
    """A later event or `reconcile` has done the work. A redrive is harmless."""
    GONE = "gone"
    """The original and everything made from it are deleted. A redrive is harmless."""
    FOREIGN_BUCKET = "foreign-bucket"
    """The upload is in another bucket. The process function ignores it."""
    MALFORMED = "malformed"
    """The message contains no upload. The process function drops it."""


class Diagnosis(Struct, frozen=True):
    """A reason with its detail. ``upload`` is None if the message contains none."""

    reason: FailureReason
    detail: str | None = None
    upload: Upload | None = None


Inspect = Callable[[str], KeyState]
"""`Inspector.inspect`: the state of a key. Raises ImageProcessorError."""


def parse_message(id_: str, body: str) -> Message:
    """The message as the process function reads it. Never raises."""
    return read_messages({"Records": [{"eventSource": "aws:sqs", "messageId": id_, "body": body}]})[0]


def diagnose_message(message: Message, bucket: str | None, inspect: Inspect | None) -> tuple[Diagnosis, ...]:
    """One diagnosis for each upload of ``message``, or a single one if there is none.

    Without ``bucket`` and ``inspect`` every upload is UNKNOWN.
    """
    if not message.uploads:
        return (Diagnosis(FailureReason.MALFORMED, "; ".join(message.ignored) or "no record in it"),)
    return tuple(_diagnose_upload(upload, bucket, inspect) for upload in message.uploads)


def main_diagnosis(diagnoses: tuple[Diagnosis, ...]) -> Diagnosis:
    """The diagnosis of the whole message: the one whose reason comes first in FailureReason."""
    order = list(FailureReason)
    return min(diagnoses, key=lambda diagnosis: order.index(diagnosis.reason))


def _diagnose_upload(upload: Upload, bucket: str | None, inspect: Inspect | None) -> Diagnosis:
    if bucket is None or inspect is None:
        return Diagnosis(FailureReason.UNKNOWN, "the buckets are not set", upload)
    if upload.bucket != bucket:
        return Diagnosis(FailureReason.FOREIGN_BUCKET, f"expected {bucket}, got {upload.bucket}", upload)
    try:
        state = inspect(upload.key)
    except ImageProcessorError as error:
        return Diagnosis(FailureReason.UNKNOWN, str(error), upload)
    return diagnose(upload, state)


def diagnose(upload: Upload, state: KeyState) -> Diagnosis:
    """Why an upload of our bucket would have failed, from the ``state`` of its key. Pure."""
    if state.drift not in {None, Drift.UNREADABLE}:
        return Diagnosis(FailureReason.UNFINISHED, state.drift, upload)
    if state.original is None:
        return Diagnosis(FailureReason.GONE, None, upload)
    if upload.kind is UploadKind.REPROCESS:
        return Diagnosis(FailureReason.UNFINISHED, "reprocessing was requested", upload)
    record = state.record
    if record is not None and record.status is Status.REFUSED:
        return Diagnosis(FailureReason.REFUSED, f"{record.reason}: {record.message}", upload)
    return Diagnosis(FailureReason.SETTLED, None, upload)
