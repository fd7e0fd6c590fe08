"""The Lambda function `process`: an event in, the outcomes of its uploads out, in the form that its source
expects."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from image_processor.bootstrap.aws import AwsContext
from image_processor.domain.errors import ImageProcessorError
from image_processor.domain.models import Outcome, OutcomeStatus, Upload
from image_processor.ingest.events import Message, read_messages
from image_processor.ingest.process import Processor  # noqa: F401 - loaded in the init phase, not by an event

from . import log

_RESERVE_MS = 5_000
"""An upload is not started with less time left than this: it returns to the queue instead."""

_RECEIVES_FOR_MESSAGES = 3
"""How often a message is received again if messages about its outcome could not be sent. After that
`reconcile` sends them: a finished upload never becomes a dead letter."""

Process = Callable[[Upload], Outcome]
RemainingMs = Callable[[], int]


class RetryLater(Exception):
    """Makes Lambda deliver an event again whose source takes no partial results."""


class IsolatedProcessing(Struct, frozen=True):
    """How to process messages that are received again: their upload may have crashed the function before.

    ``process`` renders in a child process, within the given seconds. An upload is started only with
    ``needs_ms`` left, or half of the time that there was at first.
    """

    process: Callable[[Upload, float], Outcome]
    needs_ms: int


class MessageResult(Struct, frozen=True):
    """How one message ended. ``retry`` is the reason to receive it again; None if it is done."""

    message: Message
    statuses: tuple[OutcomeStatus, ...] = ()
    retry: str | None = None


class _Strategy(Struct, frozen=True):
    """How uploads are processed, and the milliseconds that must be left to start one."""

    process: Process
    needs_ms: int


def open_process(context: AwsContext) -> Callable[[object, Any], dict[str, Any]]:
    """The handler, over what the function works with."""
    needs_ms = 1000 * context.settings.limits.cpu_seconds + _RESERVE_MS
    isolated = IsolatedProcessing(context.process_isolated, needs_ms)
    return lambda event, invocation: handle(
        event, context.process, context.bucket, invocation.get_remaining_time_in_millis, isolated
    )


def handle(
    event: object,
    process: Process,
    bucket: str,
    remaining_ms: RemainingMs,
    isolated: IsolatedProcessing | None = None,
) -> dict[str, Any]:
    """Process every upload of ``event``, except those of other buckets than ``bucket``.

    Returns partial batch failures for SQS, and one result per task for S3 Batch Operations. For other
    sources it raises RetryLater if any upload must be tried again.
    """
    started = time.monotonic()
    messages = read_messages(event)
    first_try = _Strategy(process, _RESERVE_MS)
    repeated = _isolated_strategy(isolated, remaining_ms) if isolated else first_try
    results = [
        _process_message(message, repeated if message.receives > 1 else first_try, bucket, remaining_ms)
        for message in messages
    ]
    _log_metrics(results, started)
    if isinstance(event, dict) and "tasks" in event:
        return _batch_operations_response(event, results)
    if any(message.id for message in messages):
        return _sqs_response(results)
    return _whole_response(results)


def _isolated_strategy(isolated: IsolatedProcessing, remaining_ms: RemainingMs) -> _Strategy:
    def process(upload: Upload) -> Outcome:
        # The reserve is for what follows rendering: recording a refusal.
        return isolated.process(upload, (remaining_ms() - _RESERVE_MS) / 1000)

    return _Strategy(process, min(isolated.needs_ms, remaining_ms() // 2))


def _process_message(
    message: Message, strategy: _Strategy, bucket: str, remaining_ms: RemainingMs
) -> MessageResult:
    for reason in message.ignored:
        level = "INFO" if reason == "s3:TestEvent" else "WARNING"
        log.line(level, "ignored", reason=reason, id=message.id)
    statuses: list[OutcomeStatus] = []
    retry: str | None = None
    for upload in message.uploads:
        if upload.bucket != bucket:
            reason = f"expected bucket {bucket}, got {upload.bucket}"
            log.line("WARNING", "ignored", reason=reason, key=upload.key)
        elif remaining_ms() < strategy.needs_ms:
            retry = "not enough time left to start it"
        else:
            status, error = _process_upload(upload, strategy.process, message.receives)
            statuses += [status] if status else []
            retry = error or retry
    return MessageResult(message, tuple(statuses), retry)


def _process_upload(
    upload: Upload, process: Process, receives: int
) -> tuple[OutcomeStatus | None, str | None]:
    """The status, and the reason to retry. A permanent error is logged and done: a retry would end the same
    way."""
    started = time.monotonic()
    fields = {"key": upload.key, "bucket": upload.bucket}
    try:
        outcome = process(upload)
    except ImageProcessorError as error:
        level = "WARNING" if error.retryable else "ERROR"
        log.line(level, error.code, **fields, error=str(error), retry=error.retryable)
        return None, str(error) if error.retryable else None
    except Exception as error:  # noqa: BLE001 - an unexpected error of one upload must not fail its batch
        log.line("ERROR", "bug", **fields, error=repr(error), retry=True)
        return None, repr(error)
    record = outcome.record
    log.line(
        "INFO",
        outcome.status,
        **fields,
        version=record.version if record else None,
        reason=record.reason if record else None,
        detail=outcome.detail,
        renditions=len(record.renditions) if record else 0,
        ms=round(1000 * (time.monotonic() - started)),
    )
    if not outcome.unsent:
        return outcome.status, None
    retry = receives < _RECEIVES_FOR_MESSAGES
    log.line("ERROR", "unsent", **fields, messages=len(outcome.unsent), retry=retry)
    return outcome.status, "messages about the outcome could not be sent" if retry else None


def _sqs_response(results: Sequence[MessageResult]) -> dict[str, Any]:
    """Partial batch failures: SQS deletes the other messages."""
    failed = [result.message.id for result in results if result.retry]
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in failed]}


def _whole_response(results: Sequence[MessageResult]) -> dict[str, Any]:
    for result in results:
        if result.retry:
            raise RetryLater(result.retry)
    return {"results": [status for result in results for status in result.statuses]}


def _batch_operations_response(event: dict[str, Any], results: Sequence[MessageResult]) -> dict[str, Any]:
    """The response that "Invoking an AWS Lambda function from Amazon S3 Batch Operations" describes."""
    return {
        "invocationSchemaVersion": event.get("invocationSchemaVersion", "1.0"),
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event.get("invocationId", ""),
        "results": [_task_result(result) for result in results],
    }


def _task_result(result: MessageResult) -> dict[str, str]:
    if result.retry:
        code, text = "TemporaryFailure", result.retry
    elif result.statuses:
        code, text = "Succeeded", str(result.statuses[0])
    else:
        code, text = "PermanentFailure", "; ".join(result.message.ignored) or "no upload of this bucket"
    return {"taskId": result.message.id or "", "resultCode": code, "resultString": text[:1024]}


def _log_metrics(results: Sequence[MessageResult], started: float) -> None:
    statuses = [status for result in results for status in result.statuses]
    values: dict[str, float] = {
        "Processed": statuses.count(OutcomeStatus.PROCESSED),
        "Refused": statuses.count(OutcomeStatus.REFUSED),
        "Retried": sum(result.retry is not None for result in results),
        "DurationMs": round(1000 * (time.monotonic() - started), 1),
    }
    log.metrics("process", values)
