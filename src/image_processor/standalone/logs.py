"""Logs of one machine: one line for each request and outcome, as text for people or as JSON for programs.

The standard library does it: uvicorn and all our modules log through it, and structlog would be a second way.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from image_processor.config.log_options import LogFormat, LogLevel
from image_processor.domain.errors import FIXES
from image_processor.domain.models import Outcome, OutcomeStatus
from image_processor.domain.redaction import printable

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current task or thread works for."""

_outcomes = logging.getLogger("image_processor.outcomes")


def configure_logs(format_: LogFormat, level: LogLevel) -> None:
    """Write the log to standard error from now on. Call it again to change it."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if format_ is LogFormat.JSON else ConsoleFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLogger().level))


def log(
    logger: logging.Logger, level: int, message: str, shown: Mapping[str, object], **hidden: object
) -> None:
    """Write a line with fields: ``shown`` in both formats, ``hidden`` in JSON only, because the message says
    them."""
    logger.log(level, "%s", message, extra={"shown": shown, "hidden": hidden})


class ConsoleFormatter(logging.Formatter):
    """`2026-01-01 12:00:00,000 INFO image_processor.requests: GET /images 200 ms=1.2`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        fields = " ".join(f"{name}={_text(value)}" for name, value in getattr(record, "shown", {}).items())
        return super().formatMessage(record) + (f" {fields}" if fields else "")


class JsonFormatter(logging.Formatter):
    """One object a line, with `timestamp` (RFC 3339, UTC), `level`, `logger` and `message`."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "timestamp": rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        current = request_id.get()
        if current is not None:
            fields["request_id"] = current
        fields |= {**getattr(record, "hidden", {}), **getattr(record, "shown", {})}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def rfc3339(seconds: float) -> str:
    """A Unix time with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


def log_outcome(outcome: Outcome, seconds: float) -> None:
    """Write what has become of an upload, after ``seconds`` of work; for a refused one also the fix."""
    key, record = printable(outcome.key), outcome.record
    shown: dict[str, object] = {"ms": round(1000 * seconds, 1)}
    level, text = _LEVELS.get(outcome.status, logging.INFO), outcome.status.value
    if outcome.status is OutcomeStatus.PROCESSED and record is not None:
        shown = {"renditions": len(record.renditions), **shown}
    elif outcome.status is OutcomeStatus.REFUSED and record is not None and record.reason is not None:
        text = f"refused: {printable(record.message or '')} {FIXES[record.reason]}"
        shown = {"reason": record.reason.value, **shown}
    elif outcome.detail:
        text = f"{text}: {printable(outcome.detail)}"
    log(_outcomes, level, f"{key} {text}", shown, key=outcome.key, status=outcome.status.value)


_LEVELS = {
    OutcomeStatus.REFUSED: logging.WARNING,
    OutcomeStatus.UNCHANGED: logging.DEBUG,
}


def _text(value: object) -> str:
    text = str(value)
    return text if text and " " not in text else json.dumps(text)
