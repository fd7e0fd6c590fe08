"""Log lines have what Lambda's filters read, whatever a line is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from image_processor import aws_lambda
from image_processor.aws.retries import Deadline
from image_processor.aws_lambda import log

LAMBDA_LEVELS = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}


def written(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(capsys.readouterr().out)
    return line


@pytest.mark.parametrize(
    ("level", "expected"), [("INFO", "INFO"), ("WARNING", "WARN"), ("ERROR", "ERROR"), ("CRITICAL", "FATAL")]
)
def test_levels_are_those_of_lambda(level: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.line(level, "something")
    assert written(capsys)["level"] == expected
    assert expected in LAMBDA_LEVELS


def test_the_timestamp_is_the_time_in_rfc_3339(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 1, 31, 12, 0, 5, 7000, tzinfo=UTC)
    monkeypatch.setattr(log.time, "time", moment.timestamp)
    log.line("INFO", "something")
    text = written(capsys)["timestamp"]
    assert text == "2026-01-31T12:00:05.007Z"
    assert datetime.fromisoformat(text) - moment == timedelta()


def test_a_line_names_the_request_that_wrote_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_request", {})

    def handler(event: Any, _context: Any) -> dict[str, Any]:
        log.line("INFO", "something", key=event)
        return {}

    context = SimpleNamespace(deadline=Deadline())
    for name in ("process", "deliver", "api", "reconcile"):
        monkeypatch.setattr(aws_lambda, f"_{name}", lambda: (context, handler))
        for request in ("r-1", "r-2"):
            invocation = SimpleNamespace(aws_request_id=request, get_remaining_time_in_millis=lambda: 30_000)
            getattr(aws_lambda, name)("cat.jpg", invocation)
            line = written(capsys)
            assert (line["requestId"], line["key"]) == (request, "cat.jpg")
