"""AWS entry point *process*: events in, outcomes and an answer in the source's own form out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from image_processor.bootstrap.aws import AwsContext
from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.ingest.events import Message, read_messages

from . import log

_RESERVE_MS = 5_000
"""An upload is not begun with less time than this left: it goes back to the queue instead."""

Process = Callable[[Upload], Outcome]


class IsolatedProcessing(Struct, frozen=True):
    """How the uploads of a message are processed that comes again, since it may have taken the function
    down: in a process of their own, within so many seconds. They are begun with no less than
    ``needs_ms`` left, or half of what there was at the beginning.
    """

    process: Callable[[Upload, float], Outcome]
    needs_ms: int


class MessageResult(Struct, frozen=True):
    """How one message ended. ``retry`` tells why it should come again; None if it is settled."""

    message: Message
    results: tuple[OutcomeStatus, ...] = ()
    retry: str | None = None


def open_process(cloud: AwsContext) -> Callable[[object, Any], dict[str, Any]]:
    """The function, over what it works with."""
    apart = IsolatedProcessing(cloud.process_isolated, 1000 * cloud.settings.limits.cpu_seconds + _RESERVE_MS)
    return lambda event, context: handle(
        event, cloud.process, cloud.bucket, context.get_remaining_time_in_millis, apart
    )


def handle(
    event: object,
    process: Process,
    bucket: str,
    remaining_ms: Callable[[], int],
    apart: IsolatedProcessing | None = None,
) -> dict[str, Any]:
    """Process every upload of ``event``; uploads of other buckets than ``bucket`` are left out.

    Answers partial batches for SQS and results for S3 Batch Operations. For sources that can only
    be answered as a whole it raises the transient error, so that the whole event comes again.
    """
    started = time.monotonic()
    messages = read_messages(event)
    usual = _Strategy(process, _RESERVE_MS)
    careful = _isolated_strategy(apart, remaining_ms) if apart else usual
    endings = [
        _message(message, careful if message.receives > 1 else usual, bucket, remaining_ms)
        for message in messages
    ]
    _measure(endings, started)
    if isinstance(event, dict) and "tasks" in event:
        return _batch_operations(event, endings)
    if any(message.id for message in messages):
        failed = [ending.message.id for ending in endings if ending.retry]
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}
    for ending in endings:
        if ending.retry:
            raise RetryLater(ending.retry)
    return {"results": [result for ending in endings for result in ending.results]}


class RetryLater(Exception):
    """Tells Lambda to deliver an event again that cannot be answered in parts."""


class _Strategy(Struct, frozen=True):
    """How uploads are processed, and how much time must be left for one to be begun."""

    process: Process
    needs_ms: int


def _isolated_strategy(apart: IsolatedProcessing, remaining_ms: Callable[[], int]) -> _Strategy:
    def process(upload: Upload) -> Outcome:
        # The rest is for what comes after rendering: to record the refusal.
        return apart.process(upload, (remaining_ms() - _RESERVE_MS) / 1000)

    return _Strategy(process, min(apart.needs_ms, remaining_ms() // 2))


def _message(message: Message, way: _Strategy, bucket: str, remaining_ms: Callable[[], int]) -> MessageResult:
    for reason in message.ignored:
        log.line("WARNING" if reason != "s3:TestEvent" else "INFO", "ignored", reason=reason, id=message.id)
    results = []
    retry: str | None = None
    for upload in message.uploads:
        if upload.bucket != bucket:
            log.line(
                "WARNING", "ignored", reason=f"expected bucket {bucket}, got {upload.bucket}", key=upload.key
            )
        elif remaining_ms() < way.needs_ms:
            retry = "no time was left for it"
        else:
            result, error = _upload(upload, way.process)
            results += [result] if result else []
            retry = error or retry
    return MessageResult(message, tuple(results), retry)


def _upload(upload: Upload, process: Process) -> tuple[OutcomeStatus | None, str | None]:
    """The result, or why to try again. A permanent error is logged and settled: the next attempt
    would end the same way."""
    started = time.monotonic()
    try:
        outcome = process(upload)
    except ImageProcessorError as error:
        level = "WARNING" if error.retryable else "ERROR"
        log.line(
            level, error.code, key=upload.key, bucket=upload.bucket, error=str(error), retry=error.retryable
        )
        return None, str(error) if error.retryable else None
    except Exception as error:  # noqa: BLE001 - a bug is one upload's: it must not take the batch with it
        log.line("ERROR", "bug", key=upload.key, bucket=upload.bucket, error=repr(error), retry=True)
        return None, repr(error)
    record = outcome.record
    log.line(
        "INFO",
        outcome.status,
        key=upload.key,
        bucket=upload.bucket,
        version=record.version if record else None,
        reason=record.reason if record else None,
        detail=outcome.detail,
        renditions=len(record.renditions) if record else 0,
        ms=round(1000 * (time.monotonic() - started)),
    )
    return outcome.status, None


def _batch_operations(event: dict[str, Any], endings: Sequence[MessageResult]) -> dict[str, Any]:
    """The answer of "Invoking an AWS Lambda function from Amazon S3 Batch Operations"."""
    results = []
    for ending in endings:
        if ending.retry:
            code, text = "TemporaryFailure", ending.retry
        elif ending.results:
            code, text = "Succeeded", ending.results[0]
        else:
            code, text = (
                "PermanentFailure",
                "; ".join(ending.message.ignored) or "not an upload of this bucket",
            )
        results.append({"taskId": ending.message.id or "", "resultCode": code, "resultString": text[:1024]})
    return {
        "invocationSchemaVersion": event.get("invocationSchemaVersion", "1.0"),
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event.get("invocationId", ""),
        "results": results,
    }


def _measure(endings: Sequence[MessageResult], started: float) -> None:
    results = [result for ending in endings for result in ending.results]
    values: dict[str, float] = {
        "Processed": results.count(OutcomeStatus.PROCESSED),
        "Refused": results.count(OutcomeStatus.REFUSED),
        "Retried": sum(ending.retry is not None for ending in endings),
        "DurationMs": round(1000 * (time.monotonic() - started), 1),
    }
    log.metrics("process", values)
