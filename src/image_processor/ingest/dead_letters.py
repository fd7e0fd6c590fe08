"""Beside ingest: why a message lies among the dead letters, and whether to send it again helps.

The queue attaches no reason to a message that failed too often; what the stores and the catalog
show now tells more, and is what another try would meet.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from image_processor.config.recipe import Recipe
from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.keys import image_id
from image_processor.domain.models import ExifField, IccPolicy, Limits, Record, Status, Upload, UploadKind
from image_processor.domain.ports import Catalog, ObjectStore
from image_processor.renditions.freshness import list_renditions
from image_processor.renditions.originals import OriginalState, head_original, overlay_versions

from .drift import Drift, detect_drift
from .events import Message, read_messages
from .plan import plan_upload


class FailureReason(StrEnum):
    """Why a message, or one upload in it, is a dead letter. The first one that fits any of its
    uploads is the message's."""

    UNFINISHED = "unfinished"
    """Work is left to do that failed before: worth a redrive, once its cause is mended."""
    UNKNOWN = "unknown"
    """Nobody could look: the buckets are not set, or do not answer. A redrive does no harm."""
    REFUSED = "refused"
    """On record as refused, for this version and these limits: a redrive changes nothing."""
    SETTLED = "settled"
    """All is as it should be, by a later event or by `reconcile`: a redrive is harmless."""
    GONE = "gone"
    """The original is not there any more, nor anything made of it: a redrive is harmless."""
    FOREIGN_BUCKET = "foreign-bucket"
    """It tells of another bucket than ours: whoever processes it leaves it out."""
    MALFORMED = "malformed"
    """There is no upload in it: whoever processes it drops it."""


class KeyState(Struct, frozen=True):
    """What is there for one key: the original (None: it is gone), the record, and what work is left."""

    original: OriginalState | None
    record: Record | None
    drift: Drift | None


class Diagnosis(Struct, frozen=True):
    """A reason with its detail; ``upload`` is what it is about, None where the message holds none."""

    reason: FailureReason
    detail: str | None = None
    upload: Upload | None = None


VisualSummary = Callable[[str], KeyState]
"""How a key's state is found out. Raises ImageProcessorError."""


def parse_message(id_: str, body: str) -> Message:
    """The message as the function that processes it reads it. Never raises."""
    return read_messages({"Records": [{"eventSource": "aws:sqs", "messageId": id_, "body": body}]})[0]


def diagnose_message(
    message: Message, bucket: str | None, look: VisualSummary | None
) -> tuple[Diagnosis, ...]:
    """What is to say of each upload of ``message``, or the one thing where there is none.

    Without ``bucket`` and ``look`` nothing but malformed messages can be told."""
    if not message.uploads:
        return (Diagnosis(FailureReason.MALFORMED, "; ".join(message.ignored) or "no record in it"),)
    return tuple(_verdict(upload, bucket, look) for upload in message.uploads)


def main_diagnosis(verdicts: tuple[Diagnosis, ...]) -> Diagnosis:
    """The verdict that stands for the whole message: of those that say most, the first."""
    order = list(FailureReason)
    return min(verdicts, key=lambda verdict: order.index(verdict.reason))


def diagnose(upload: Upload, bucket: str, state: KeyState) -> Diagnosis:
    """Why ``upload`` would have failed, by what is there now. Pure."""
    if upload.bucket != bucket:
        return Diagnosis(FailureReason.FOREIGN_BUCKET, f"expected {bucket}, got {upload.bucket}", upload)
    if state.drift is not None:
        return Diagnosis(FailureReason.UNFINISHED, state.drift, upload)
    if state.original is None:
        return Diagnosis(FailureReason.GONE, None, upload)
    if upload.kind is UploadKind.REPROCESS:
        return Diagnosis(FailureReason.UNFINISHED, "asked for every rendition anew", upload)
    record = state.record
    if record is not None and record.status is Status.REFUSED:
        return Diagnosis(FailureReason.REFUSED, f"{record.reason}: {record.message}", upload)
    return Diagnosis(FailureReason.SETTLED, None, upload)


class Inspector(Struct, frozen=True):
    """Looks into the stores and the catalog. It writes nothing."""

    bucket: str
    uploads: ObjectStore
    processed: ObjectStore
    catalog: Catalog
    recipe: Recipe
    limits: Limits
    icc: IccPolicy
    exif: tuple[ExifField, ...] = ()

    def look(self, key: str) -> KeyState:
        """The state of ``key``. Raises InvalidKey, Unavailable."""
        overlays = overlay_versions(self.uploads, self.recipe.transformations_for(key))
        plan = plan_upload(key, self.recipe, self.icc, self.exif, overlays)
        original, record = head_original(self.uploads, key), self.catalog.get(image_id(self.bucket, key))
        stored = list_renditions(self.processed, key)
        return KeyState(original, record, detect_drift(plan, self.limits, original, record, stored))


_NOTHING = KeyState(None, None, None)


def _verdict(upload: Upload, bucket: str | None, look: VisualSummary | None) -> Diagnosis:
    if bucket is None or look is None:
        return Diagnosis(FailureReason.UNKNOWN, "the buckets are not set", upload)
    if upload.bucket != bucket:
        return diagnose(upload, bucket, _NOTHING)
    try:
        state = look(upload.key)
    except ImageProcessorError as error:
        return Diagnosis(FailureReason.UNKNOWN, str(error), upload)
    return diagnose(upload, bucket, state)
