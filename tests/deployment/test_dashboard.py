"""The dashboard shows metrics that there are: each widget's names and dimensions are compared with what
the functions write and what the stack has."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from linters import Json, translated
from policies import of_type
from resolve import resolve

from image_processor.aws_lambda import (
    api_function,
    deliver_function,
    log,
    process_function,
    reconcile_function,
)
from image_processor.ingest.reconcile_run import Checkpoint

LAMBDA_METRICS = {"Duration", "Errors", "Invocations", "Throttles"}
QUEUE_METRICS = {
    "ApproximateAgeOfOldestMessage",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesVisible",
}
PARTS = [
    {},
    {"ReconcileSchedule": ""},
    {"EnableApi": "false"},
    {"EnableCdn": "false"},
    {"EnableApi": "false", "EnableCdn": "false"},
]


def widgets(resources: Json) -> list[Json]:
    (dashboard,) = of_type(resources, "AWS::CloudWatch::Dashboard").values()
    found: list[Json] = json.loads(dashboard["DashboardBody"])["widgets"]
    return found


def rows(widget: Json) -> list[list[str]]:
    """The metrics of a widget, with each `.` replaced by the value above it, options left out."""
    found: list[list[str]] = []
    for row in widget["properties"]["metrics"]:
        texts = [item for item in row if isinstance(item, str)]
        found.append([found[-1][place] if text == "." else text for place, text in enumerate(texts)])
    return found


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, set[str]]:
    """The names of the metrics that each function writes, by its logical id."""
    calls: dict[str, Any] = {
        "ProcessFunction": lambda: process_function.handle({"Records": []}, None, "", lambda: 0),  # type: ignore[arg-type]
        "DeliverFunction": lambda: deliver_function.handle(
            {"requestContext": {"http": {"method": "PUT"}}},
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
        ),
        "ReconcileFunction": lambda: reconcile_function._log_metrics(
            *2 * (Checkpoint("", datetime.now(UTC)),), 0.0
        ),
        "ApiFunction": lambda: api_function._log_request(
            {"httpMethod": "GET", "path": "/", "requestContext": {}}, 200, 1.0
        ),
    }
    found = {}
    for name, call in calls.items():
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", f"<{name}>")
        call()
        line = next(line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line)
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == (log.NAMESPACE, [["Function"]])
        assert line["Function"] == f"<{name}>"
        found[name] = {metric["Name"] for metric in directive["Metrics"]}
    return found


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_metric_of_every_widget_exists(parts: dict[str, str], written: dict[str, set[str]]) -> None:
    resources = resolve(translated(), **parts)
    functions = of_type(resources, "AWS::Lambda::Function")
    queues = of_type(resources, "AWS::SQS::Queue")
    existing = {
        *(
            ("AWS/Lambda", metric, "FunctionName", f"<{name}>")
            for name in functions
            for metric in LAMBDA_METRICS
        ),
        *(
            ("AWS/SQS", metric, "QueueName", f"<{name}.QueueName>")
            for name in queues
            for metric in QUEUE_METRICS
        ),
        *(
            (log.NAMESPACE, metric, "Function", f"<{name}>")
            for name in functions
            for metric in written.get(name, ())
        ),
    }
    for widget in widgets(resources):
        shown = [tuple(row) for row in rows(widget)]
        assert [row for row in shown if row not in existing] == [], widget["properties"]["title"]


def test_every_function_is_shown() -> None:
    resources = resolve(translated())
    shown = {row[3] for widget in widgets(resources) for row in rows(widget) if row[0] == "AWS/Lambda"}
    # CloudFormation alone calls PublishFunction, and fails with it.
    functions = of_type(resources, "AWS::Lambda::Function").keys() - {"PublishFunction"}
    assert shown == {f"<{name}>" for name in functions}
