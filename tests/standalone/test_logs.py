"""Log lines for people and for programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from image_processor.config.log_options import LogFormat, LogLevel
from image_processor.domain.errors import Reason
from image_processor.domain.models import Outcome, OutcomeStatus, Record, Status
from image_processor.standalone.logs import configure_logs, log, log_outcome, request_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_log = logging.getLogger("image_processor.tests")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def refused(key: str, message: str) -> Outcome:
    record = Record("id", "uploads", key, NOW, NOW, Status.REFUSED, reason=Reason.TRUNCATED, message=message)
    return Outcome(key, OutcomeStatus.REFUSED, record)


def test_a_refused_file_is_reported_with_its_reason_and_the_cure(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.CONSOLE, LogLevel.INFO)
    log_outcome(refused("a b.jpg", "the file ends early"), 0.25)
    line = capsys.readouterr().err
    assert (
        " WARNING image_processor.outcomes: a b.jpg refused: the file ends early Send the file again" in line
    )
    assert line.endswith(" reason=truncated ms=250.0\n")


def test_a_key_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    for format_ in LogFormat:
        configure_logs(format_, LogLevel.INFO)
        log_outcome(refused("a\n2026 INFO forged", "bad\rbytes"), 0.1)
    console, json_ = capsys.readouterr().err.splitlines()
    assert r"'a\n2026 INFO forged' refused: 'bad\rbytes' Send" in console
    assert json.loads(json_)["key"] == "a\n2026 INFO forged"


def test_json_lines_have_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON, LogLevel.INFO)
    log_outcome(refused("a.jpg", "the file ends early"), 0.1)
    token = request_id.set("abc")
    _log.warning("%s is slow", "it")
    request_id.reset(token)
    try:
        {}["broken"]
    except KeyError:
        _log.exception("failed")
    outcome, slow, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert (outcome["key"], outcome["status"], outcome["reason"]) == ("a.jpg", "refused", "truncated")
    assert outcome["level"] == "WARNING"
    datetime.strptime(outcome["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert (slow["message"], slow["request_id"], slow["logger"]) == ("it is slow", "abc", _log.name)
    assert "KeyError: 'broken'" in failed["exception"]
    assert "request_id" not in failed


@pytest.mark.parametrize(
    ("level", "statuses"),
    [
        (LogLevel.DEBUG, ["refused", "unchanged", "skipped"]),
        (LogLevel.INFO, ["refused", "skipped"]),
        (LogLevel.WARNING, ["refused"]),
        (LogLevel.ERROR, []),
    ],
)
def test_the_level_decides_what_is_written(
    capsys: pytest.CaptureFixture[str], level: LogLevel, statuses: list[str]
) -> None:
    configure_logs(LogFormat.JSON, level)
    log_outcome(refused("a.jpg", "it ends early"), 0.1)
    log_outcome(Outcome("a.jpg", OutcomeStatus.UNCHANGED), 0.1)
    log_outcome(Outcome("a.txt", OutcomeStatus.SKIPPED, detail="no rule matches"), 0.1)
    assert [json.loads(line)["status"] for line in capsys.readouterr().err.splitlines()] == statuses


def test_values_with_spaces_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.CONSOLE, LogLevel.INFO)
    log(_log, logging.INFO, "100 %s", {"a": "b c", "d": 1, "e": ""}, hidden="not for people")
    assert capsys.readouterr().err.endswith('INFO image_processor.tests: 100 %s a="b c" d=1 e=""\n')
