"""A function made by hand with Lambda's defaults says what is too small."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from image_processor import aws_lambda
from image_processor.aws_lambda.limits import with_limits_checked


def invocation(milliseconds: int) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds, aws_request_id="1")


def lines(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    written = map(json.loads, capsys.readouterr().out.splitlines())
    return [(line["level"], line["error"].partition(": set")[0]) for line in written]


def test_lambdas_defaults_are_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
    handle = with_limits_checked(lambda event, _: {"got": event}, 30)
    assert handle(1, invocation(2998)) == {"got": 1}
    assert lines(capsys) == [
        ("ERROR", "expected at least 30 s for the function's timeout, got 3"),
        ("ERROR", "expected at least 512 MB for the function's memory, got 128"),
    ]
    handle(2, invocation(2998))
    assert lines(capsys) == []


def test_large_enough_limits_are_not_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
    with_limits_checked(lambda *_: {}, 30)(None, invocation(29_998))
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    with_limits_checked(lambda *_: {}, 30)(None, None)  # a context without a clock, as in a test
    assert lines(capsys) == []


@pytest.mark.parametrize("function", ["process", "deliver", "api"])
def test_each_function_checks_its_limits(
    function: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their handlers are replaced by one that does nothing."""
    aws = SimpleNamespace(deadline=SimpleNamespace(set=lambda _: None))
    monkeypatch.setattr(aws_lambda, "_context", lambda **_: aws)
    monkeypatch.setattr(
        f"image_processor.aws_lambda.{function}_function.open_{function}", lambda _: lambda *_: {}
    )
    opener = aws_lambda._OPENERS[function]
    opener.cache_clear()
    try:
        getattr(aws_lambda, function)({}, invocation(2998))
    finally:
        opener.cache_clear()
    ((level, error),) = lines(capsys)
    assert level == "ERROR"
    assert error.endswith("for the function's timeout, got 3")
